"""What happened: visits, procedures, immunizations, family history, documents, insurance, and the timeline of all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from commonchart.web.present import codes, dates, medications, values
from commonchart.web.present.absence import is_absence, known_none
from commonchart.web.present.tables import Cell, Fact, Row, Table, entered_in_error, errors_last, notes

Names = Mapping[str, str]
_CLASSES = {
    "AMB": "Office", "EMER": "Emergency", "IMP": "Hospital stay", "ACUTE": "Hospital stay, acute", "NONAC": "Hospital stay",
    "OBSENC": "Observation stay", "SS": "Short stay", "PRENC": "Pre-admission", "VR": "Remote", "HH": "At home", "FLD": "Field",
}  # fmt: skip
STAYS = {"IMP", "ACUTE", "NONAC", "OBSENC", "SS"}


def visit_class(body: Mapping[str, Any]) -> str:
    """The class of an Encounter in words."""
    kind = body.get("class") or {}
    return _CLASSES.get(str(kind.get("code")), codes.concept({"coding": [kind]}))


def is_stay(body: Mapping[str, Any]) -> bool:
    """Was the patient admitted?"""
    return (body.get("class") or {}).get("code") in STAYS or bool(body.get("hospitalization"))


def nights(body: Mapping[str, Any]) -> str:
    """How long a hospital stay was: `3 nights`, `still in`; empty for other visits and when nobody recorded it."""
    period = body.get("period") or {}
    start, end = dates.first_day(period.get("start")), dates.first_day(period.get("end"))
    if not is_stay(body) or start is None:
        return ""
    if end is None:
        return "still in, as far as recorded" if body.get("status") == "in-progress" else "end not recorded"
    count = (end - start).days
    return "one day" if count <= 0 else "1 night" if count == 1 else f"{count} nights"


def visit_title(body: Mapping[str, Any]) -> str:
    """What a visit is called: its type, else its service, else its class."""
    return codes.concepts(body.get("type")) or codes.concept(body.get("serviceType"), "") or visit_class(body)


def visits(facts: Sequence[Fact], names: Names, title: str = "Visits", total: int | None = None) -> Table:
    """Encounters, newest first; hospital stays carry their length and where the patient went."""
    rows = tuple(_visit(fact, names) for fact in facts if fact.rtype == "Encounter")
    quiet = "" if total is None else f"{len(rows)} of {total}" if len(rows) < total else str(total)
    return Table(
        "visits",
        title,
        ("Date", "Visit", "Kind", "Reason", "Clinician"),
        rows,
        quiet,
        lead=True,
        narrow=frozenset({3, 4}),
    )


def _visit(fact: Fact, names: Names) -> Row:
    body = fact.body
    reason = codes.concepts(body.get("reasonCode")) or ", ".join(
        values.reference(one, names) for one in body.get("reasonReference") or ()
    )
    who = [
        values.reference(one["individual"], names)
        for one in body.get("participant") or ()
        if one.get("individual")
    ]
    stay = body.get("hospitalization") or {}
    left = codes.concept(stay.get("dischargeDisposition"), "")
    status = str(body.get("status") or "")
    said = [
        codes.plain(status) if status not in ("finished", "entered-in-error") else "",
        nights(body),
        f"left to: {left}" if left else "",
    ]
    return Row(
        fact,
        visit_title(body),
        (
            Cell(visit_class(body), nowrap=True),
            Cell(reason or codes.NOT_RECORDED, quiet=not reason, narrow=True),
            Cell(", ".join(who[:2]) or codes.NOT_RECORDED, quiet=True, narrow=True),
        ),
        lead=dates.period(body.get("period")) or codes.NOT_RECORDED,
        sub=" · ".join(part for part in said if part),
        struck=entered_in_error(body),
        href=f"visits/{fact.id}",
    )


def procedures(facts: Sequence[Fact], names: Names) -> list[Table]:
    """Operations and other procedures, newest first; what was not done says so."""
    found = [fact for fact in facts if fact.rtype == "Procedure" and not is_absence(fact.body)]
    none = known_none(facts, "Procedure")
    rows = errors_last([_procedure(fact, names) for fact in found])
    empty = (
        f"Known to have had none ({none})."
        if none
        else "None recorded. This does not mean that there were none."
    )
    return [
        Table(
            "procedures",
            "Procedures and surgeries",
            ("Date", "Procedure", "Outcome", "By"),
            rows,
            empty=empty,
            lead=True,
            narrow=frozenset({2, 3}),
        )
    ]


def _procedure(fact: Fact, names: Names) -> Row:
    body = fact.body
    who = [values.reference(one.get("actor"), names) for one in body.get("performer") or ()]
    status = str(body.get("status") or "status not recorded")
    reason = codes.concepts(body.get("reasonCode")) or ", ".join(
        text
        for one in body.get("reasonReference") or ()
        if (text := values.reference(one, names)) != codes.NOT_RECORDED
    )
    said = [
        "" if status in ("completed", "entered-in-error") else codes.plain(status),
        codes.concept(body.get("category"), ""),
        codes.concepts(body.get("bodySite")),
        f"for {reason}" if reason else "",
        notes(body),
    ]
    return Row(
        fact,
        codes.concept(body.get("code")),
        (
            Cell(codes.concept(body.get("outcome"), codes.NOT_RECORDED), quiet=True, narrow=True),
            Cell(", ".join(who) or codes.NOT_RECORDED, quiet=True, narrow=True),
        ),
        lead=_day_of(body, "performed"),
        sub=" · ".join(part for part in said if part),
        warn="NOT DONE" if status == "not-done" else "",
        struck=entered_in_error(body),
    )


def immunizations(facts: Sequence[Fact], names: Names) -> list[Table]:
    """Doses, newest first; refused and not-given ones are told apart."""
    found = [fact for fact in facts if fact.rtype == "Immunization" and not is_absence(fact.body)]
    none = known_none(facts, "Immunization")
    empty = (
        f"Known to have had none ({none})."
        if none
        else "None recorded. This does not mean that none were given."
    )
    given = [_dose(fact, names) for fact in found if fact.body.get("status") != "not-done"]
    missed = [_dose(fact, names) for fact in found if fact.body.get("status") == "not-done"]
    columns = ("Date", "Vaccine", "Dose", "Lot", "By")
    tables = [
        Table(
            "given",
            "Immunizations",
            columns,
            errors_last(given),
            empty=empty,
            lead=True,
            narrow=frozenset({3, 4}),
        )
    ]
    if missed:
        tables.append(
            Table("missed", "Not given", columns, tuple(missed), lead=True, narrow=frozenset({3, 4}))
        )
    return tables


def _dose(fact: Fact, names: Names) -> Row:
    body = fact.body
    code = codes.codings(body.get("vaccineCode"))
    number = [str(values.chosen(one, "doseNumber")) for one in body.get("protocolApplied") or ()]
    who = [values.reference(one.get("actor"), names) for one in body.get("performer") or ()]
    missed = body.get("status") == "not-done"
    said = [
        f"{code[0].label} {code[0].code}" if code else "no code",
        values.quantity(body["doseQuantity"]) if body.get("doseQuantity") else "",
        codes.concept(body.get("site"), ""),
        codes.concept(body.get("statusReason"), "reason not recorded") if missed else "",
        "reported, not given here" if body.get("primarySource") is False else "",
        "subpotent" if body.get("isSubpotent") else "",
        notes(body),
    ]
    return Row(
        fact,
        codes.concept(body.get("vaccineCode")),
        (
            Cell(", ".join(one for one in number if one) or codes.NOT_RECORDED, quiet=True),
            Cell(str(body.get("lotNumber") or codes.NOT_RECORDED), quiet=True, narrow=True),
            Cell(", ".join(who) or codes.NOT_RECORDED, quiet=True, narrow=True),
        ),
        lead=_day_of(body, "occurrence"),
        sub=" · ".join(part for part in said if part),
        warn="NOT GIVEN" if missed else "",
        struck=entered_in_error(body),
    )


def family(facts: Sequence[Fact]) -> list[Table]:
    """Relatives and what they had; a healthy relative is not an unknown one."""
    found = [fact for fact in facts if fact.rtype == "FamilyMemberHistory" and not is_absence(fact.body)]
    none = known_none(facts, "FamilyMemberHistory")
    empty = (
        f"No family history of note ({none})."
        if none
        else "None recorded. This does not mean that there is none: ask."
    )
    rows = errors_last([_relative(fact) for fact in found])
    return [
        Table(
            "family",
            "Family history",
            ("Relative", "Conditions", "Born", "Died"),
            rows,
            empty=empty,
            narrow=frozenset({2}),
        )
    ]


def _relative(fact: Fact) -> Row:
    body = fact.body
    had = "; ".join(_family_condition(one) for one in body.get("condition") or ())
    born = values.chosen(body, "born") or values.chosen(body, "age")
    died = values.chosen(body, "deceased")
    status = str(body.get("status") or "")
    said = [
        "" if status in ("completed", "entered-in-error") else codes.plain(status),
        str(body.get("name") or ""),
        notes(body),
    ]
    return Row(
        fact,
        codes.concept(body.get("relationship")),
        (
            Cell(had or "no condition recorded", quiet=not had),
            Cell(born or codes.NOT_RECORDED, quiet=True, narrow=True),
            Cell(died or codes.NOT_RECORDED, quiet=True),
        ),
        sub=" · ".join(part for part in said if part),
        struck=entered_in_error(body),
    )


def _family_condition(one: Mapping[str, Any]) -> str:
    onset = values.chosen(one, "onset")
    died = " (contributed to death)" if one.get("contributedToDeath") else ""
    return codes.concept(one.get("code")) + (f", onset {onset}" if onset else "") + died


def documents(facts: Sequence[Fact], names: Names, total: int | None = None) -> Table:
    """Notes, documents and reports, newest first."""
    rows = tuple(_document(fact, names) for fact in facts if fact.rtype in DOCUMENTS)
    quiet = "" if total is None else f"{len(rows)} of {total}" if len(rows) < total else str(total)
    columns = ("Date", "Document", "Kind", "State", "Author")
    return Table(
        "documents",
        "Documents and notes",
        columns,
        errors_last(list(rows)),
        quiet,
        lead=True,
        narrow=frozenset({3, 4}),
    )


DOCUMENTS = ("DocumentReference", "Composition", "DiagnosticReport")
_KINDS = {"DocumentReference": "Document", "Composition": "Note", "DiagnosticReport": "Report"}


def _document(fact: Fact, names: Names) -> Row:
    body = fact.body
    kind = body.get("code") if fact.rtype == "DiagnosticReport" else body.get("type")
    who = body.get("performer") if fact.rtype == "DiagnosticReport" else body.get("author")
    status = str((body.get("docStatus") or body.get("status")) or codes.NOT_RECORDED)
    concept = codes.concept(kind)
    title = str(body.get("title") or body.get("description") or "") or (
        concept if concept != codes.NOT_RECORDED else "Untitled"
    )
    return Row(
        fact,
        title,
        (
            Cell(_KINDS[fact.rtype], nowrap=True),
            Cell(codes.plain(status), quiet=True, narrow=True),
            Cell(
                ", ".join(values.reference(one, names) for one in who or ()) or codes.NOT_RECORDED,
                quiet=True,
                narrow=True,
            ),
        ),
        lead=_document_day(fact),
        sub=concept if concept not in (title, codes.NOT_RECORDED) else "",
        struck=entered_in_error(body),
        href=f"documents/{fact.rtype}/{fact.id}",
    )


def report_day(body: Mapping[str, Any]) -> str:
    """When a report was true, as FHIR wrote it; empty when it does not say."""
    return str(
        body.get("effectiveDateTime")
        or (body.get("effectivePeriod") or {}).get("start")
        or body.get("issued")
        or ""
    )


def _document_day(fact: Fact) -> str:
    body = fact.body
    return (
        _day_of(body, "effective")
        if fact.rtype == "DiagnosticReport"
        else dates.day(body.get("date")) or codes.NOT_RECORDED
    )


def insurance(facts: Sequence[Fact], names: Names) -> list[Table]:
    """Who pays, and under which numbers."""
    rows = errors_last([_coverage(fact, names) for fact in facts if fact.rtype == "Coverage"])
    columns = ("Plan", "Member number", "Period", "State")
    return [
        Table(
            "coverage",
            "Insurance",
            columns,
            rows,
            empty="None recorded. This does not mean that there is none: ask.",
            narrow=frozenset({3}),
        )
    ]


def _coverage(fact: Fact, names: Names) -> Row:
    body = fact.body
    payors = [values.reference(one, names) for one in body.get("payor") or ()]
    member = str(
        body.get("subscriberId")
        or next((one["value"] for one in body.get("identifier") or () if one.get("value")), "")
    )
    groups = ", ".join(
        f"{codes.concept(one.get('type'))} {one.get('value', '')}".strip() for one in body.get("class") or ()
    )
    said = [
        codes.concept(body.get("type"), ""),
        groups,
        f"dependent {body['dependent']}" if body.get("dependent") else "",
    ]
    return Row(
        fact,
        ", ".join(payors) or "Payer not recorded",
        (
            Cell(member or codes.NOT_RECORDED, quiet=not member),
            Cell(dates.period(body.get("period")) or codes.NOT_RECORDED, quiet=True),
            Cell(codes.plain(str(body.get("status") or codes.NOT_RECORDED)), quiet=True, narrow=True),
        ),
        sub=" · ".join(part for part in said if part),
        struck=entered_in_error(body),
    )


TIMELINE: dict[str, tuple[str, Callable[[Fact, Names], str]]] = {
    "Encounter": ("Visit", lambda fact, names: visit_title(fact.body)),
    "Condition": ("Condition", lambda fact, names: codes.concept(fact.body.get("code"))),
    "Procedure": ("Procedure", lambda fact, names: codes.concept(fact.body.get("code"))),
    "Immunization": ("Immunization", lambda fact, names: codes.concept(fact.body.get("vaccineCode"))),
    "MedicationRequest": ("Medication", lambda fact, names: medications.medicine(fact.body, names)),
    "MedicationStatement": ("Medication", lambda fact, names: medications.medicine(fact.body, names)),
    "AllergyIntolerance": ("Allergy", lambda fact, names: codes.concept(fact.body.get("code"))),
    "DiagnosticReport": ("Report", lambda fact, names: codes.concept(fact.body.get("code"))),
    "DocumentReference": ("Document", lambda fact, names: _document(fact, names).title),
    "Composition": ("Note", lambda fact, names: _document(fact, names).title),
    "Communication": ("Message", lambda fact, names: message_title(fact.body)),
}


def message_title(body: Mapping[str, Any]) -> str:
    """What a message is called: what it is about, who sent it, and whether it arrived."""
    about = codes.concept(body.get("topic"), "") or codes.concepts(body.get("category")) or "Message"
    if str((body.get("sender") or {}).get("reference", "")).startswith("Patient/"):
        return f"Answer: {about}"
    trouble = {"unknown": ", may have been sent", "not-done": ", not sent"}.get(str(body.get("status")), "")
    return f"{about}{trouble}"


def timeline(facts: Iterable[Fact], names: Names) -> list[Table]:
    """Everything dated, by year, newest first as given."""
    years: dict[str, list[Row]] = {}
    for fact in facts:
        if fact.rtype in TIMELINE:
            row = _event(fact, names)
            years.setdefault(row.lead[-4:] if row.lead[-4:].isdigit() else "Without a date", []).append(row)
    return [
        Table(
            f"y{year.replace(' ', '-')}",
            year,
            ("Date", "What", "Kind"),
            tuple(rows),
            lead=True,
            kind="tl",
            edit=False,
        )
        for year, rows in years.items()
    ]


def _event(fact: Fact, names: Names) -> Row:
    kind, title = TIMELINE[fact.rtype]
    words = f"{kind}: hospital stay" if fact.rtype == "Encounter" and is_stay(fact.body) else kind
    href = f"visits/{fact.id}" if fact.rtype == "Encounter" else ""
    if fact.rtype in DOCUMENTS:
        href = f"documents/{fact.rtype}/{fact.id}"
    return Row(
        fact,
        title(fact, names),
        (Cell(words, quiet=True),),
        lead=event_day(fact),
        struck=entered_in_error(fact.body),
        href=href,
    )


def event_day(fact: Fact) -> str:
    """The day something was true, by type; `not recorded` when the record does not say."""
    body = fact.body
    if fact.rtype == "Encounter":
        return dates.day((body.get("period") or {}).get("start")) or codes.NOT_RECORDED
    stems = {"Condition": "onset", "Procedure": "performed", "Immunization": "occurrence", "AllergyIntolerance": "onset",
             "MedicationStatement": "effective", "Observation": "effective", "DiagnosticReport": "effective"}  # fmt: skip
    if fact.rtype in stems:
        found = _day_of(body, stems[fact.rtype])
        if found != codes.NOT_RECORDED:
            return found
    for name in ("recordedDate", "authoredOn", "date", "dateAsserted", "created", "sent", "received"):
        if isinstance(body.get(name), str):
            return dates.day(body[name])
    return codes.NOT_RECORDED


def _day_of(body: Mapping[str, Any], stem: str) -> str:
    kind, value = values.choice(body, stem)
    if kind == "Period":
        return dates.day(value.get("start")) or dates.period(value) or codes.NOT_RECORDED
    return (
        dates.day(value)
        if kind in ("DateTime", "Instant", "Date")
        else values.words(kind, value)
        if kind
        else codes.NOT_RECORDED
    )
