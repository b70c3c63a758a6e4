"""Every page by its address."""

from __future__ import annotations

from collections.abc import Callable

from starlette.routing import BaseRoute, Route

from commonchart.web import accounts, assets
from commonchart.web.apps import connected, consent, gallery
from commonchart.web.apps import registry as app_registry
from commonchart.web.clinician import (
    campaigns,
    contact,
    digest,
    due,
    exchange,
    immunizations,
    notes,
    patients,
    provenance,
    receipts,
    registration,
    registry,
    results,
    schedules,
    sections,
    stock,
    terminology,
    vaccine_card,
    validating,
    wordings,
    writing,
)
from commonchart.web.session import Endpoint, View, guarded, signed_in

READING: dict[str, View] = {
    "/": patients.index,
    "/patients": patients.patient_list,
    "/patients/{patient}": sections.summary,
    "/patients/{patient}/timeline": sections.timeline,
    "/patients/{patient}/visits": sections.visit_list,
    "/patients/{patient}/conditions": sections.conditions,
    "/patients/{patient}/medications": sections.medication_list,
    "/patients/{patient}/allergies": sections.allergy_list,
    "/patients/{patient}/immunizations": immunizations.section,
    "/patients/{patient}/immunizations/card.pdf": vaccine_card.card,
    "/patients/{patient}/immunizations/compare": immunizations.comparison,
    "/patients/{patient}/due": due.page,
    "/patients/{patient}/results": results.sheet,
    "/patients/{patient}/results/trend": results.one_test,
    "/patients/{patient}/procedures": sections.procedure_list,
    "/patients/{patient}/family": sections.family_history,
    "/patients/{patient}/documents": sections.document_list,
    "/patients/{patient}/documents/{rtype}/{id}": sections.document,
    "/patients/{patient}/insurance": sections.insurance,
    "/patients/{patient}/contacts": sections.contacts,
    "/patients/{patient}/facts/{rtype}/{id}": provenance.fact,
    "/account": accounts.account,
    "/apps": app_registry.page,
    "/connected-apps": connected.page,
    "/patients/{patient}/apps": gallery.page,
    "/campaigns": campaigns.listing,
    "/campaigns/{campaign}/letters": campaigns.letters,
    "/digest": digest.page,
    "/exchange": exchange.page,
    "/exchange/{run}/file": exchange.download,
    "/registry": registry.page,
    "/schedules/compare": schedules.compare,
    "/receipts": receipts.recent,
    "/receipts/{run}": receipts.one,
    "/receipts/{run}/json": receipts.download,
    "/terminology": terminology.page,
}
WRITING: dict[str, tuple[View, View]] = {
    "/patients/{patient}/new/{form}": (writing.new, writing.create),
    "/patients/{patient}/edit/{rtype}/{id}": (writing.edit, writing.correct),
    "/patients/{patient}/retract/{rtype}/{id}": (writing.retract, writing.retracting),
    "/patients/{patient}/visits/new": (notes.new_visit, notes.create_visit),
    "/patients/{patient}/notes/new": (notes.new_note, notes.create_note),
    "/patients/{patient}/notes/{id}/edit": (notes.edit_note, notes.save_note),
    "/patients/{patient}/notes/{id}/amend": (notes.amend, notes.add_addendum),
    "/patients/{patient}/contact-preferences": (contact.page, contact.save),
    "/campaigns/new": (campaigns.new, campaigns.begin),
    "/campaigns/{campaign}": (campaigns.one, campaigns.act),
    "/templates": (wordings.page, wordings.save),
    "/patients/{patient}/immunizations/give": (immunizations.give, immunizations.given),
    "/patients/{patient}/immunizations/refuse": (immunizations.refuse, immunizations.refusing),
    "/schedules": (schedules.page, schedules.use),
    "/stock": (stock.page, stock.receive),
    "/stock/{lot}": (stock.one, stock.act),
    "/validate": (validating.page, validating.look),
    "/apps/new": (app_registry.new, app_registry.create),
    "/apps/{app}": (app_registry.one, app_registry.act),
    "/patients/new": (registration.new_patient, registration.create_patient),
}
# After the addresses that a writing page may claim, such as visits/new.
LAST: dict[str, View] = {"/patients/{patient}/visits/{visit}": sections.visit}
SIGNED_POST: dict[str, View] = {
    "/account": accounts.save_account,
    "/sign-out": accounts.sign_out,
    "/oauth/consent": consent.decide,
    "/connected-apps/revoke": connected.revoke,
    "/patients/{patient}/apps/launch": gallery.launch,
    "/drafts": writing.keep_draft,
    "/exchange/begin": exchange.begin,
    "/exchange/cancel": exchange.cancel,
    "/exchange/again": exchange.again,
    "/drafts/drop": writing.drop_draft,
}
PUBLIC: list[tuple[str, Endpoint, list[str]]] = [
    ("/sign-in", accounts.sign_in_page, ["GET"]),
    ("/sign-in", accounts.sign_in, ["POST"]),
    ("/timed-out", accounts.timed_out, ["GET"]),
    ("/oauth/authorize", consent.authorize, ["GET"]),
    ("/oauth/authorize", consent.posted, ["POST"]),
]


def routes(door: Callable[[View], Endpoint] = signed_in) -> list[BaseRoute]:
    """All page routes. `door` makes an endpoint of a view: it decides who is signed in."""
    return [
        Route("/static/{digest}/{path:path}", assets.serve, methods=["GET"]),
        *(Route(path, guarded(endpoint), methods=methods) for path, endpoint, methods in PUBLIC),
        *(Route(path, door(show), methods=["GET"]) for path, (show, _) in WRITING.items()),
        *(Route(path, door(store), methods=["POST"]) for path, (_, store) in WRITING.items()),
        *(Route(path, door(view), methods=["GET"]) for path, view in READING.items()),
        *(Route(path, door(view), methods=["POST"]) for path, view in SIGNED_POST.items()),
        *(Route(path, door(view), methods=["GET"]) for path, view in LAST.items()),
    ]
