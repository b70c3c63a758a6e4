"""Every page of the portal by its address, for the patient under `/me` and for who acts for them under `/me/for/{grant}`."""

from __future__ import annotations

from msgspec import Struct

from commonchart.web.portal import (
    access_log,
    asking,
    disclosures,
    download,
    due,
    links,
    questions,
    record,
    sharing,
    you,
)
from commonchart.web.portal.door import ROOT, PortalView, portal
from commonchart.web.session import Endpoint, View
from commonchart.web.step_up import stepped_up


class Page(Struct, frozen=True):
    """An address under the root: what it shows, what a form of it does, and who may come.

    `alone`: also somebody without a record of their own. `full`: not with a limited right. `own`: only the patient.
    `asks`: what they are about to do when `act` asks first who they are.
    """

    path: str
    show: PortalView | None
    act: PortalView | None = None
    alone: bool = False
    full: bool = False
    own: bool = False
    asks: str = ""


PAGES = (
    Page("", record.home, alone=True),
    Page("/record", record.record),
    Page("/record/{section}", record.section),
    Page("/documents/{rtype}/{id}", record.document),
    Page("/results", record.results),
    Page("/results/{id}", record.result),
    Page("/due", due.page),
    Page("/questions", questions.page, questions.answer),
    Page("/access", access_log.page, full=True),
    Page("/disclosures", disclosures.page, full=True),
    Page("/disclosures.csv", disclosures.download, full=True),
    Page("/sharing", sharing.page, full=True),
    Page("/sharing/link", links.new, links.make, own=True, asks="let somebody into your record by a link"),
    Page("/sharing/{share}", sharing.preview, own=True),
    Page("/sharing/{share}/stop", sharing.stopping, sharing.stop, own=True),
    Page("/sharing/{share}/again", sharing.again, sharing.share, own=True),
    Page("/requests", asking.mine),
    Page("/ask", asking.form, asking.send),
    Page("/download", download.page, full=True),
    Page("/download/record.json", download.bundle, full=True),
    Page("/download/record.html", download.readable, full=True),
    Page("/download/record.pdf", download.paper, full=True),
    Page("/you", you.page, you.save, alone=True, own=True),
)
PUBLIC: list[tuple[str, Endpoint, list[str]]] = [
    ("/invitation", you.invitation, ["GET"]),
    ("/invitation", you.redeem, ["POST"]),
    ("/share/{token}", links.ask, ["GET"]),
    ("/share/{token}", links.read, ["POST"]),
]


def views() -> list[tuple[str, str, View]]:
    """(address, method, view) of every page."""
    out: list[tuple[str, str, View]] = []
    for page in PAGES:
        for root in (ROOT,) if page.own else (ROOT, f"{ROOT}/for/{{grant}}"):
            for method, view in (("GET", page.show), ("POST", page.act)):
                if view is not None:
                    shown = portal(view, alone=page.alone, full=page.full)
                    asked = page.asks and method == "POST"
                    out.append(
                        (f"{root}{page.path}", method, stepped_up(shown, page.asks) if asked else shown)
                    )
    return out
