"""Who the patient is: what the banner says, and the contact page (NHS CUI banner rules)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from msgspec import Struct

from commonchart.web.present import codes, dates, values
from commonchart.web.present.tables import Cell, Fact, Row, Table, entered_in_error

Names = Mapping[str, str]
_USE_ORDER = {
    "official": 0,
    "usual": 1,
    None: 2,
    "nickname": 3,
    "temp": 4,
    "anonymous": 5,
    "maiden": 6,
    "old": 7,
}
_IDENTIFIERS = {"MR": "Medical record number", "SS": "Social security number", "DL": "Driver's license", "PPN": "Passport",
                "MC": "Medicare number", "MA": "Medicaid number", "MB": "Member number", "NPI": "National provider identifier"}  # fmt: skip
_SEX = {"male": "Male", "female": "Female", "other": "Other", "unknown": "Unknown"}


class Banner(Struct, frozen=True):
    """The identity line of a chart."""

    id: str
    name: str
    born: str
    age: str
    sex: str
    mrn: str
    phone: str
    died: str = ""
    inactive: bool = False


def banner(patient: dict[str, Any], on: date) -> Banner:
    """What never leaves the screen; the age is the one on that day, or at death."""
    born = patient.get("birthDate")
    death = dates.first_day(patient.get("deceasedDateTime"))
    until = death if death and death <= on else on
    years = dates.age(born, until)
    return Banner(
        id=str(patient.get("id", "")),
        name=listed_name(patient),
        born=dates.day(born) or codes.NOT_RECORDED,
        age=years,
        sex=_SEX.get(str(patient.get("gender")), codes.NOT_RECORDED),
        mrn=record_number(patient),
        phone=phone(patient),
        died=_died(patient, death, years, on),
        inactive=patient.get("active") is False,
    )


def _died(patient: dict[str, Any], death: date | None, years: str, on: date) -> str:
    if death:
        if death > on:
            return ""
        return f"Died {dates.day(patient['deceasedDateTime'])}" + (f", aged {years}" if years else "")
    if patient.get("deceasedDateTime") or patient.get("deceasedBoolean"):
        return "Died, date not recorded"
    return ""


def best_name(patient: Mapping[str, Any]) -> dict[str, Any]:
    """The name in use: official, else usual, else the first that is not old."""
    names = [name for name in patient.get("name") or () if isinstance(name, dict)]
    return min(names, key=lambda name: _USE_ORDER.get(name.get("use"), 2), default={})


def listed_name(patient: Mapping[str, Any]) -> str:
    """`HALLOWBROOK, Ines`: the family name in capitals, for lists and the banner."""
    name = best_name(patient)
    family, given = name.get("family"), " ".join(str(part) for part in name.get("given") or () if part)
    if family and given:
        return f"{str(family).upper()}, {given}"
    return str(family).upper() if family else given or str(name.get("text") or "NAME NOT RECORDED")


def record_number(patient: Mapping[str, Any]) -> str:
    """The medical record number, else the first identifier, else `not recorded`."""
    found = [one for one in patient.get("identifier") or () if one.get("value")]
    records = [one for one in found if any(c.code == "MR" for c in codes.codings(one.get("type")))]
    usual = [one for one in found if one.get("use") == "usual"]
    return str((records or usual or found or [{"value": codes.NOT_RECORDED}])[0]["value"])


def phone(patient: Mapping[str, Any]) -> str:
    """The first current phone number, mobile before home."""
    order = {"mobile": 0, "home": 1, "work": 3, "old": 9}
    found = [
        one
        for one in patient.get("telecom") or ()
        if one.get("system") in ("phone", "sms") and one.get("value")
    ]
    best = min(found, key=lambda one: order.get(one.get("use"), 2), default=None)
    return str(best["value"]) if best else codes.NOT_RECORDED


def listed(patients: Iterable[Fact], on: date) -> list[Banner]:
    """The rows of the patient list."""
    return [banner(fact.body | {"id": fact.id}, on) for fact in patients]


def contacts(facts: Sequence[Fact], names: Names, on: date) -> list[Table]:
    """Demographics, telecom and addresses, contacts and related persons, care team."""
    tables: list[Table] = []
    for fact in facts:
        if fact.rtype == "Patient":
            tables += [_demographics(fact, on), _reach(fact)]
    related = [_related(fact) for fact in facts if fact.rtype == "RelatedPerson"]
    for fact in facts:
        related += [_contact(fact, one) for one in fact.body.get("contact") or () if fact.rtype == "Patient"]
    team = [row for fact in facts if fact.rtype == "CareTeam" for row in _team(fact, names)]
    general = [row for fact in facts if fact.rtype == "Patient" for row in _general(fact, names)]
    return [
        *tables,
        Table("people", "Family and contacts", ("Person", "Relation", "How to reach"), tuple(related)),
        Table("team", "Care team", ("Member", "Role", "Since"), tuple(general + team), edit=False),
    ]


def _demographics(fact: Fact, on: date) -> Table:
    body = fact.body
    lines = [
        ("Name", values.name(best_name(body)) if best_name(body) else ""),
        (
            "Other names",
            ", ".join(values.name(name) for name in (body.get("name") or ()) if name is not best_name(body)),
        ),
        ("Born", _born(body, on)),
        ("Sex", _SEX.get(str(body.get("gender")), "")),
        ("Died", values.chosen(body, "deceased")),
        ("Marital status", codes.concept(body.get("maritalStatus"), "")),
        ("Language", codes.concepts(one.get("language") or {} for one in body.get("communication") or ())),
        *_ethnic(body),
    ]
    rows = tuple(
        Row(fact, label, (Cell(text or codes.NOT_RECORDED, quiet=not text),)) for label, text in lines
    )
    rows += tuple(_identifier(fact, one) for one in body.get("identifier") or ())
    return Table("demographics", "Demographics", ("About", "Recorded"), rows, kind="kvt", edit=False)


def _born(body: Mapping[str, Any], on: date) -> str:
    born = body.get("birthDate")
    living = not values.choice(body, "deceased")[0] or body.get("deceasedBoolean") is False
    years = dates.age(born, on) if living else ""
    return f"{dates.day(born)}, {years}" if years else dates.day(born)


def _ethnic(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for extension in body.get("extension") or ():
        label = {"us-core-race": "Race", "us-core-ethnicity": "Ethnicity"}.get(
            str(extension.get("url", "")).rsplit("/", 1)[-1]
        )
        texts = [
            str(part["valueString"]) for part in extension.get("extension") or () if part.get("valueString")
        ]
        if label and texts:
            found.append((label, ", ".join(texts)))
    return found


def _identifier(fact: Fact, one: Mapping[str, Any]) -> Row:
    label = _label(one.get("type")) or str(one.get("system") or "Identifier")
    value = str(one.get("value") or codes.NOT_RECORDED)
    private = any(c.code == "SS" for c in codes.codings(one.get("type")))
    return Row(fact, label, (Cell(f"ends in {value[-4:]}" if private and len(value) > 4 else value),))


def _label(kind: Mapping[str, Any] | None) -> str:
    """What an identifier is called: as written, else by its HL7 v2 table 0203 code."""
    words = codes.concept(dict(kind or {}), "")
    return _IDENTIFIERS.get(words, words)


def _reach(fact: Fact) -> Table:
    rows = [
        Row(fact, values.telecom(one), (Cell(dates.period(one.get("period")), quiet=True),))
        for one in fact.body.get("telecom") or ()
    ]
    for one in fact.body.get("address") or ():
        use = f" ({one['use']})" if one.get("use") else ""
        rows.append(
            Row(fact, values.address(one) + use, (Cell(dates.period(one.get("period")), quiet=True),))
        )
    return Table("reach", "Phone and address", ("How", "When"), tuple(rows), kind="kvt", edit=False)


def _related(fact: Fact) -> Row:
    body = fact.body
    reach = ", ".join(values.telecom(one) for one in body.get("telecom") or ())
    ended = "no longer active" if body.get("active") is False else ""
    who = values.name(best_name(body)) if best_name(body) else "Name not recorded"
    relation = codes.concepts(body.get("relationship"), codes.NOT_RECORDED)
    return Row(fact, who, (Cell(relation), Cell(reach or codes.NOT_RECORDED, quiet=not reach)), sub=ended)


def _contact(fact: Fact, one: Mapping[str, Any]) -> Row:
    reach = ", ".join(values.telecom(point) for point in one.get("telecom") or ())
    who = values.name(one["name"]) if one.get("name") else "Name not recorded"
    return Row(
        fact,
        who,
        (
            Cell(codes.concepts(one.get("relationship"), "contact")),
            Cell(reach or codes.NOT_RECORDED, quiet=not reach),
        ),
    )


def _team(fact: Fact, names: Names) -> list[Row]:
    rows = []
    for one in fact.body.get("participant") or ():
        role = codes.concepts(one.get("role"), codes.NOT_RECORDED)
        since = dates.period(one.get("period") or fact.body.get("period"))
        rows.append(
            Row(
                fact,
                values.reference(one.get("member"), names),
                (Cell(role), Cell(since, quiet=True)),
                struck=entered_in_error(fact.body),
            )
        )
    return rows


def _general(fact: Fact, names: Names) -> list[Row]:
    return [
        Row(fact, values.reference(one, names), (Cell("general practitioner"), Cell("")))
        for one in fact.body.get("generalPractitioner") or ()
    ]
