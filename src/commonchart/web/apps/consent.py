"""Where an app asks a person: who asks for what, for which patient, untick what it shall not get, allow or not.

SMART App Launch 2.2, authorization; RFC 6749, section 4.1. Everything is checked again when the form comes back: the
address carries the request, and nothing of it is believed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from commonchart.access.oauth import asked, grants, launches
from commonchart.access.oauth.denied import Denied
from commonchart.access.oauth.launches import Launch
from commonchart.fhir import json
from commonchart.fhir.outcome import Unauthenticated
from commonchart.record.rows import Stored
from commonchart.settings import public_address
from commonchart.web import rendering
from commonchart.web.call import Call, go
from commonchart.web.clinician.lookups import fact_of
from commonchart.web.present import people
from commonchart.web.present.scopes import choices, fixed
from commonchart.web.session import COOKIE, form, signed_in_call
from commonchart.web.yours import look

PATIENT = "chosen_patient"
HERE = "/oauth/authorize"


async def authorize(request: Request) -> Response:
    """The request of an app. One that is wrong goes back at once; without a session the sign-in page comes first."""
    params, repeated = _params(request.query_params.multi_items())
    try:
        wanted = await _read(request, params, repeated)
    except asked.Turned as refusal:
        return _away(refusal.address)
    try:
        call = await signed_in_call(request)
    except Unauthenticated:
        return go(f"/sign-in?next={quote(f'{HERE}?{urlencode(params)}', safe='')}")
    return await _page(call, wanted, params)


async def posted(request: Request) -> Response:
    """The same by POST: the browser then asks by GET, so that the session is known and the page can be reloaded."""
    params, repeated = _params((await form(request)).multi_items())
    try:
        await _read(request, params, repeated)
    except asked.Turned as refusal:
        return _away(refusal.address)
    return go(f"{HERE}?{urlencode(params)}")


async def decide(call: Call) -> Response:
    """What the person decided."""
    fields = await form(call.request)
    params, repeated = _params(fields.multi_items())
    try:
        wanted = await _read(call.request, params, repeated)
    except asked.Turned as refusal:
        return _away(refusal.address)
    database = call.request.app.state.database
    if fields.get("do") != "allow":
        await grants.refused(database, call.actor, wanted.app, call.now)
        return _away(wanted.answer(error="access_denied", error_description="The person did not allow it"))
    ticked = [text for text in fields.getlist("scope_ticked") if isinstance(text, str)]
    patient = await _chosen(call, wanted, params)
    try:
        code = await grants.allow(
            database, call.actor, wanted, ticked, patient.id if patient else None,
            call.request.cookies.get(COOKIE, ""), call.now,
        )  # fmt: skip
    except Denied as refusal:
        return _away(wanted.answer(error=refusal.error, error_description=str(refusal)))
    return _away(wanted.answer(code=code))


def _params(pairs: Sequence[tuple[str, Any]]) -> tuple[dict[str, str], bool]:
    """What of it belongs to the request, and whether anything came twice."""
    known = [
        (n, v.replace("\0", "")) for n, v in pairs if n in (*asked.NAMES, PATIENT) and isinstance(v, str)
    ]
    return dict(known), len({name for name, _ in known}) != len(known)


async def _read(request: Request, params: Mapping[str, str], repeated: bool) -> asked.Request:
    state = request.app.state
    address = public_address(state.settings, request.url.scheme, request.url.netloc)
    return await asked.read(state.database, params, repeated, f"{address}/fhir", state.clock())


async def _page(call: Call, wanted: asked.Request, params: Mapping[str, str]) -> Response:
    if wanted.launch is not None:
        launches.same(wanted.launch, call.actor.user, call.actor.membership)
    patient = await _chosen(call, wanted, params)
    kept = [(name, value) for name, value in params.items() if name != PATIENT]
    if wanted.needs_patient and patient is None:
        return await _which(call, wanted, kept)
    lines = choices(wanted.scopes)
    response = await look.page(
        call, "consent.html", f"Allow {wanted.app.name}?", app=wanted.app, params=[*kept, *_kept(patient)],
        choices=lines, fixed=fixed(wanted.scopes), patient=_banner(call, patient), chosen=_may_choose(call, wanted.launch),
        again=f"{HERE}?{urlencode(kept)}", to=_host(wanted.redirect_uri), writes=any(line.writes for line in lines),
    )  # fmt: skip
    return rendering.permitting(response, [wanted.redirect_uri])


async def _which(call: Call, wanted: asked.Request, kept: list[tuple[str, str]]) -> Response:
    """The page where a person who may see several chooses one."""
    q = call.request.query_params.get("q_patient", "").replace("\0", "").strip()[:120]
    found = await (call.records.find_patients(q, 20) if q else call.records.recent_patients())
    rows = people.listed([fact_of(stored) for stored in found], call.today)
    title = f"Which patient is {wanted.app.name} for?"
    return await look.page(call, "which.html", title, app=wanted.app, params=kept, q_patient=q, rows=rows)


async def _chosen(call: Call, wanted: asked.Request, params: Mapping[str, str]) -> Stored | None:
    """The patient in context, looked at by this very person. Raises NotFound for one that they may not see."""
    if not wanted.needs_patient and wanted.launch is None:
        return None
    id = wanted.launch.patient if wanted.launch else call.actor.patient or params.get(PATIENT, "")
    return await call.records.read("Patient", id) if id else None


def _may_choose(call: Call, launch: Launch | None) -> bool:
    return launch is None and call.actor.patient is None


def _kept(patient: Stored | None) -> list[tuple[str, str]]:
    return [(PATIENT, patient.id)] if patient else []


def _banner(call: Call, patient: Stored | None) -> people.Banner | None:
    return people.banner(json.decode(patient.body or b"{}"), call.today) if patient else None


def _host(uri: str) -> str:
    """Where the person is sent, as they can check it."""
    scheme, _, rest = uri.partition(":")
    return (
        rest.lstrip("/").partition("/")[0].partition("?")[0]
        if scheme in ("http", "https")
        else f"the app {scheme}"
    )


def _away(address: str) -> RedirectResponse:
    response = RedirectResponse(address, 303)
    response.headers["referrer-policy"] = "no-referrer"
    response.headers["cache-control"] = "no-store"
    return response
