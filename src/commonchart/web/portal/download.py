"""Taking the record along: FHIR for programs, a readable page, a PDF. Each is an act of its own in the trail."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from commonchart.access import audit, everything
from commonchart.documents import record_summary
from commonchart.documents.record_summary import Entry, Part, Summary
from commonchart.web.portal import days, lines
from commonchart.web.portal.door import Door
from commonchart.web.present import people, values


async def page(me: Door) -> Response:
    """The three ways."""
    return me.page("download.html", me.whose("Download my record", "Download {name}’s record"))


async def bundle(me: Door) -> Response:
    """Everything as one FHIR Bundle (collection), the stored bodies byte for byte."""
    address = f"{me.call.request.app.state.settings.address}/fhir"
    text = await everything.bundle(me.records, me.patient, address)
    await _noted(me, "FHIR bundle")
    return _file(text.encode(), "application/fhir+json", "my-record.json")


async def readable(me: Door) -> Response:
    """One page with everything, for reading and printing."""
    found = await lines.sections(me.records, me.patient, me.zone, brief=None)
    await _noted(me, "readable page")
    person = lines.person_lines(me.person.body) if me.person else []
    return me.page(
        "readable.html",
        f"Health record of {_name(me)}",
        sections=found,
        person=person,
        made=days.of_date(me.today),
    )


async def paper(me: Door) -> Response:
    """The same as PDF."""
    found = await lines.sections(me.records, me.patient, me.zone, brief=None)
    await _noted(me, "PDF")
    summary = Summary(
        _name(me), tuple(lines.person_lines(me.person.body) if me.person else ()), me.decided.get("name", ""), days.of_date(me.today),
        tuple(Part(one.title, tuple(Entry(line.title, line.text, line.source) for line in one.lines), one.empty) for one in found),
    )  # fmt: skip
    made = await run_in_threadpool(record_summary.render, summary, me.call.now)
    return _file(made, "application/pdf", "my-record.pdf")


def _name(me: Door) -> str:
    return values.name(people.best_name(me.person.body)) if me.person else me.name


async def _noted(me: Door, what: str) -> None:
    async with me.records.database.single() as conn:
        await audit.note(conn, me.records.actor, me.call.now, "export", patients=[me.patient], detail=what)


def _file(body: bytes, kind: str, name: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response(body, media_type=kind, headers=headers)
