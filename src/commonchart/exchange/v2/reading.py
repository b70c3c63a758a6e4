"""From HL7 v2 data types to FHIR's, remembering what was read, so that what was not can be told.

Every reader takes a `Rep`, one repetition of a field, and gives the FHIR element or None when it is empty.
HL7 version 2.5.1 chapter 2A; http://hl7.org/fhir/uv/v2mappings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from msgspec import Struct

from commonchart.exchange.v2 import tables
from commonchart.exchange.v2.message import NULL, Segment, part
from commonchart.fhir import dates
from commonchart.fhir.outcome import Refused

Element = dict[str, Any]

REQUIRED, TYPE, TABLE_VALUE, UNKNOWN_KEY, DUPLICATE, OTHER = "101", "102", "103", "204", "205", "207"

_MOMENT = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(\.\d{1,4})?)?)?)?)?)?(?:([+-])(\d\d)(\d\d))?"
)


class Note(Struct, frozen=True):
    """Something to tell the sender: where, why, how bad (E error, W warning, I information), and the HL7 0357 code."""

    at: str
    why: str
    severity: str = "I"
    code: str = OTHER


class Reading:
    """A segment that is being read: which values were taken, and the notes on those that could not be."""

    def __init__(self, segment: Segment, notes: list[Note], zone: str = "") -> None:
        self.segment = segment
        self.notes = notes
        self.zone = zone
        self._taken: set[tuple[int, int, int, int]] = set()
        self._skipped: set[int] = set()
        self._found: dict[int, list[Rep]] = {}

    def reps(self, field: int) -> list[Rep]:
        """Every repetition of a field that is neither empty nor null."""
        found = self._found.get(field)
        if found is None:
            every = enumerate(self.segment.reps(field), 1)
            found = self._found[field] = [Rep(self, field, n, one) for n, one in every if any(map(any, one))]
        return found

    def first(self, field: int) -> Rep | None:
        """The first of them."""
        return next(iter(self.reps(field)), None)

    def text(self, field: int, component: int = 1) -> str:
        """One value of the first repetition, without spaces around it."""
        rep = self.first(field)
        return rep.get(component) if rep else ""

    def skip(self, *fields: int) -> None:
        """These fields say nothing that a record keeps: set ids, counters."""
        self._skipped.update(fields)

    def note(self, field: int, why: str, severity: str = "W", code: str = OTHER) -> None:
        """Tell the sender something about a field."""
        self.notes.append(Note(self.segment.at(field), why, severity, code))

    def taken(self, field: int, rep: int, component: int, subcomponent: int) -> None:
        """This value was read."""
        self._taken.add((field, rep, component, subcomponent))

    def left(self) -> Iterator[str]:
        """Where there is a value that nobody read, such as `PID-26` or `PID-5.9`."""
        for field, raw in enumerate(self.segment.raw, 1):
            if raw and raw != '""' and field not in self._skipped:
                yield from self._left_in(field)

    def _left_in(self, field: int) -> Iterator[str]:
        whole = not any(key[0] == field for key in self._taken)
        if whole:
            yield self.segment.at(field)
            return
        for one in self.reps(field):
            rep = one.n
            which = f"({rep})" if rep > 1 else ""
            for component, parts in enumerate(one.parts, 1):
                missed = [
                    s
                    for s, value in enumerate(parts, 1)
                    if value and (field, rep, component, s) not in self._taken
                ]
                if missed:
                    sub = f".{missed[0]}" if missed != [1] else ""
                    yield f"{self.segment.at(field)}{which}.{component}{sub}"


class Rep:
    """One repetition of a field being read."""

    def __init__(self, reading: Reading, field: int, n: int, parts: tuple[tuple[str, ...], ...]) -> None:
        self.reading = reading
        self.field = field
        self.n = n
        self.parts = parts

    def get(self, component: int, subcomponent: int = 1) -> str:
        """One value, "" when it is empty or null."""
        self.reading.taken(self.field, self.n, component, subcomponent)
        return part(self.parts, component, subcomponent).strip()

    def null(self, component: int) -> bool:
        """Whether this component says "delete"."""
        return part(self.parts, component) is NULL

    def note(self, why: str, severity: str = "W", code: str = OTHER) -> None:
        """Tell the sender something about this field."""
        self.reading.note(self.field, why, severity, code)


def told(reading: Reading) -> None:
    """A note for every value that was not read: one for each field."""
    seen: dict[str, str] = {}
    for at in reading.left():
        seen.setdefault(at.split(".")[0].split("(")[0], at)
    for at in seen.values():
        reading.notes.append(Note(at, "Not kept: the record has no place for it", "I", OTHER))


def present(**parts: Any) -> Element:
    """The parts that have a value."""
    return {name: value for name, value in parts.items() if value not in ("", None, [], {})}


# ---- dates and numbers -----------------------------------------------------------------------------------------


def date_time(rep: Rep | None, component: int = 1, *, day_only: bool = False, severity: str = "W") -> str:
    """A FHIR dateTime (or date) of a TS, DTM or DT; "" with a note when it is no date.

    A time without an offset takes that of MSH-7; when that has none either, the day alone is kept and told.
    """
    text = rep.get(component) if rep else ""
    if rep is None or not text:
        return ""
    found = _MOMENT.fullmatch(text)
    made = _moment(rep, found, day_only) if found else ""
    try:
        if made:
            dates.bounds(made)
            return made
    except Refused:
        pass
    rep.note("This is no date", severity, TYPE)
    return ""


def _moment(rep: Rep, found: re.Match[str], day_only: bool) -> str:
    year, month, day, hour, minute, second, fraction, sign, zone_h, zone_m = found.groups()
    date = "-".join(filter(None, (year, month, day)))
    if day_only or hour is None:
        return date
    zone = f"{sign}{zone_h}:{zone_m}" if sign else rep.reading.zone
    if minute is None or not zone:
        rep.note("Without minutes and an offset from UTC, only the day is kept", "I")
        return date
    return f"{date}T{hour}:{minute}:{second or '00'}{fraction or ''}{zone}"


def zone_of(text: str) -> str:
    """The offset at the end of a TS as FHIR writes it, "" if there is none."""
    found = _MOMENT.fullmatch(text)
    return f"{found[8]}{found[9]}:{found[10]}" if found and found[8] else ""


def number(rep: Rep | None, component: int = 1) -> Decimal | None:
    """An NM as it was sent; None with a note when it is no number."""
    text = rep.get(component) if rep else ""
    if rep is None or not text:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite() or len(text) > 30 or "e" in text.lower() or "_" in text:
        rep.note("This is no number", "W", TYPE)
        return None
    return value


# ---- codes and identifiers -------------------------------------------------------------------------------------


def coding(rep: Rep, start: int = 1, default: str = "") -> Element:
    """Code, text and system of a CE or CWE, from component `start` (1, or 4 for the alternate)."""
    code, text, table = (rep.get(start + n) for n in range(3))
    system = tables.system_of(table or default) if code and (table or default) else ""
    return present(system=system, code=code, display=text if code else "")


def concept(rep: Rep | None, default: str = "") -> Element | None:
    """A CodeableConcept of a CE or CWE, the alternate code beside the first. `default`: the table when none is named."""
    if rep is None:
        return None
    text = rep.get(9) or ("" if rep.get(1) else rep.get(2))
    found = [coding(rep, 1, default), coding(rep, 4)]
    return present(coding=[one for one in found if one], text=text) or None


def identifier(rep: Rep | None) -> Element | None:
    """An Identifier of a CX: value, authority, type, period."""
    if rep is None or not rep.get(1):
        return None
    system = tables.authority(rep.get(4), rep.get(4, 2), rep.get(4, 3))
    kind = rep.get(5)
    if kind == "SS" and rep.get(4) in ("", "USSSA", "SSA"):
        system = tables.SSN
    assigner = {"display": rep.get(4)} if rep.get(4) and rep.get(4, 2) else None
    return present(
        type={"coding": [{"system": tables.KINDS, "code": kind}]} if kind else None,
        system=system,
        value=rep.get(1),
        period=present(start=date_time(rep, 7, day_only=True), end=date_time(rep, 8, day_only=True)),
        assigner=assigner,
    )


def order_number(rep: Rep | None, kind: str, default: str) -> Element | None:
    """An Identifier of an EI: ORC-2 (kind PLAC), ORC-3 (FILL). `default`: the system when the number names none."""
    if rep is None or not rep.get(1):
        return None
    system = tables.authority(rep.get(2), rep.get(3), rep.get(4)) or default
    made = {
        "type": {"coding": [{"system": tables.KINDS, "code": kind}]},
        "system": system,
        "value": rep.get(1),
    }
    if rep.get(2) and rep.get(3):
        made["assigner"] = {"display": rep.get(2)}
    return made


# ---- people and places -----------------------------------------------------------------------------------------


def person_name(rep: Rep, start: int = 1) -> Element | None:
    """A HumanName of an XPN (or of an XCN from component 2 on)."""
    family, given, second, suffix, prefix, degree = (rep.get(start + n) for n in range(6))
    kind = rep.get(start + 6 if start == 1 else 10)
    use = tables.NAMES.get(kind, "")
    if kind and not use:
        rep.note("A type of name that is not kept", "I", TABLE_VALUE)
    name = present(
        use=use,
        family=family,
        given=[one for one in (given, second) if one],
        prefix=[prefix] if prefix else [],
        suffix=[one for one in (suffix, degree) if one],
    )
    return name if family or given else None


def address(rep: Rep) -> Element | None:
    """An Address of an XAD."""
    kind = rep.get(7)
    use = tables.ADDRESSES.get(kind, "")
    if kind not in ("", "M") and not use:
        rep.note("A type of address that is not kept", "I", TABLE_VALUE)
    made = present(
        use=use,
        line=[one for one in (rep.get(1), rep.get(2)) if one],
        city=rep.get(3),
        district=rep.get(9),
        state=rep.get(4),
        postalCode=rep.get(5),
        country=rep.get(6),
    )
    return made | ({"type": "postal"} if kind == "M" else {}) if made.keys() - {"use"} else None


def telecom(rep: Rep, use: str = "") -> Element | None:
    """A ContactPoint of an XTN. `use`: what the field means when the value does not say."""
    given, equipment = rep.get(2), rep.get(3)
    email = rep.get(4)
    if email or given == "NET":
        return present(
            system="email",
            value=email or rep.get(1),
            use="" if given == "NET" else tables.USES.get(given, ""),
        )
    value = _phone(rep)
    system = tables.EQUIPMENT.get(equipment, "other" if equipment else "phone")
    kind = "mobile" if equipment == "CP" else tables.USES.get(given, use)
    return present(system=system, value=value, use=kind) if value else None


def _phone(rep: Rep) -> str:
    country, area, local, extension = (rep.get(n) for n in (5, 6, 7, 8))
    whole = rep.get(12) or ("" if local else rep.get(1))
    if local:
        split = f"{local[:3]}-{local[3:]}" if len(local) == 7 and local.isdigit() else local
        whole = " ".join(filter(None, (f"+{country}" if country else "", f"({area})" if area else "", split)))
    return f"{whole} ext. {extension}" if whole and extension else whole


def practitioner(rep: Rep, id: str) -> Element | None:
    """A Practitioner of an XCN, to be contained."""
    name = person_name(rep, 2)
    number = rep.get(1)
    system = tables.authority(rep.get(9), rep.get(9, 2), rep.get(9, 3))
    kind = rep.get(13)
    given = present(
        type={"coding": [{"system": tables.KINDS, "code": kind}]} if kind else None,
        system=system,
        value=number,
    )
    if not name and not number:
        return None
    return {"resourceType": "Practitioner", "id": id} | present(
        identifier=[given] if number else [], name=[name] if name else []
    )
