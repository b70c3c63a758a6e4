"""The apps that open from a chart, for clinicians or for the patient, and opening one (SMART App Launch 2.2, EHR launch)."""

from __future__ import annotations

from starlette.responses import RedirectResponse, Response

from commonchart.access.oauth import asked, launches
from commonchart.settings import public_address
from commonchart.web import rendering
from commonchart.web.call import Call
from commonchart.web.clinician.chart import opened
from commonchart.web.present import dates, events
from commonchart.web.present.scopes import choices
from commonchart.web.present.tables import Fact
from commonchart.web.session import form


async def page(call: Call) -> Response:
    """The apps of this chart."""
    chart = await opened(call, "apps")
    found = await launches.launchable(call.request.app.state.database, call.actor.tenant, call.actor.role)
    shown = [(app, choices(app.registered)) for app in found]
    visits, _ = await chart.facts(["Encounter"], limit=10, named=False) if found else ([], 0)
    options = [(one.id, _visit(one)) for one in visits]
    response = chart.page("apps/gallery.html", "Apps", apps=shown, visits=options)
    return rendering.permitting(response, [app.launch_url for app in found])


def _visit(fact: Fact) -> str:
    """A visit in one line, such as `18-Nov-2026 Check-up`."""
    day = str((fact.body.get("period") or {}).get("start", ""))[:10]
    return f"{dates.day(day)} {events.visit_title(fact.body)}".strip()


async def launch(call: Call) -> Response:
    """Open an app: to its launch address, with who we are and a token for this chart."""
    sent = await form(call.request)
    app_id, visit = (str(sent.get(name, "")) for name in ("app", "visit"))
    app, token = await launches.begin(
        call.records, app_id, call.request.path_params["patient"], visit or None
    )
    base = public_address(call.request.app.state.settings, call.request.url.scheme, call.request.url.netloc)
    address = asked.returning(app.launch_url, {"iss": f"{base}/fhir", "launch": token})
    response = RedirectResponse(address, 303)
    response.headers["referrer-policy"] = "no-referrer"
    return response
