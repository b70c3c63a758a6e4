"""The vaccine card of a person as a PDF: the doses, whether each counts, and SMART Health Cards as QR codes."""

from __future__ import annotations

from datetime import datetime

from joserfc.jwk import ECKey
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from commonchart.access import audit, forecasts
from commonchart.access.forecasts import Forecasted
from commonchart.documents import health_card
from commonchart.documents.vaccine_card import Card, CardDose, CardGroup, render
from commonchart.fhir import json
from commonchart.web.call import Call
from commonchart.web.clinician.lookups import fact_of
from commonchart.web.present import dates, people
from commonchart.web.present import immunizations as present

VERIFY = "Each code is a SMART Health Card: a reader shows the doses and checks the signature of {url}."
UNVERIFIABLE = "Each code is a SMART Health Card. This site has no public https address, so that readers show the doses but cannot check the signature."


async def card(call: Call) -> Response:
    """The card; printing it is an act of its own in the audit trail."""
    patient = call.request.path_params["patient"]
    found = await forecasts.forecast(call.records, patient, call.today)
    async with call.records.database.single() as conn:
        await audit.note(
            conn,
            call.actor,
            call.now,
            "print",
            rtype="Immunization",
            patients=[patient],
            detail="vaccine card",
        )
    made = await run_in_threadpool(_made, call, found)
    headers = {
        "content-disposition": 'inline; filename="vaccine-card.pdf"',
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }
    return Response(made, media_type="application/pdf", headers=headers)


def _made(call: Call, found: Forecasted) -> bytes:
    body = fact_of(found.patient).body
    banner = people.banner(body | {"id": found.patient.id}, call.today)
    codes = _codes(call, found, call.now)
    url = call.request.app.state.settings.address
    verify = (VERIFY if url.startswith("https://") else UNVERIFIABLE).format(url=url)
    return render(
        Card(
            banner.name, banner.born, banner.mrn, call.site.name, dates.of_date(call.today),
            f"Judged by {found.schedule.said}", _groups(found), tuple(present.unchecked(found)[:6]), codes,
            verify if codes else "",
        ),
        call.now,
    )  # fmt: skip


def _groups(found: Forecasted) -> tuple[CardGroup, ...]:
    out = []
    for group in present.groups(found):
        doses = [
            CardDose(
                one.day, one.vaccine, "" if one.number == "–" else one.number, _lot(found, one.key), "",
                "" if one.mark == "done" else (one.reasons or one.word),
            )
            for one in group.doses
        ]  # fmt: skip
        out.append(CardGroup(group.name, group.status, tuple(doses)))
    return tuple(out)


def _lot(found: Forecasted, key: str) -> str:
    source = found.facts.given.get(key)
    return source.lot if source else ""


def _codes(call: Call, found: Forecasted, now: datetime) -> tuple[str, ...]:
    """SMART Health Cards of every dose counted once; none before the site has a key."""
    settings = call.request.app.state.settings
    if not settings.card_keys:
        return ()
    issuer = health_card.Issuer(settings.address, ECKey.import_key(settings.card_keys[0]))
    wanted = sorted((dose for dose in found.facts.doses if dose.on), key=lambda dose: (dose.on, dose.id))
    doses = [json.decode(found.read[dose.id].body or b"{}") for dose in wanted]
    patient = json.decode(found.patient.body or b"{}")
    return tuple(map(health_card.numeric, health_card.cards(patient, doses, issuer, now)))
