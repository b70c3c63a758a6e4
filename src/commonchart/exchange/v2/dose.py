"""ORC, RXA, RXR and their OBX as a FHIR Immunization and Observations. CDC implementation guide 2.5.1 release 1.5, Z22."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from commonchart.exchange.v2 import tables
from commonchart.exchange.v2.message import Segment
from commonchart.exchange.v2.reading import (
    OTHER,
    REQUIRED,
    TABLE_VALUE,
    TYPE,
    Element,
    Note,
    Reading,
    Rep,
    concept,
    date_time,
    number,
    order_number,
    practitioner,
    present,
    told,
)
from commonchart.fhir import units

UNKNOWN_AMOUNT = "999"
NOT_STATED = "not stated"
STATUSES = {"": "completed", "CP": "completed", "PA": "completed", "RE": "not-done", "NA": "not-done"}
SUBPOTENT = f"{tables.TERM}immunization-subpotent-reason"
OBJECTION = {"system": f"{tables.TERM}v3-ActReason", "code": "PATOBJ"}
OBSERVATION_STATUS = {"F": "final", "C": "corrected", "P": "preliminary", "D": "entered-in-error", "W": "entered-in-error",
                      "X": "cancelled", "R": "preliminary", "S": "preliminary", "": "final", "U": "final"}  # fmt: skip
CODED = ("CE", "CWE", "CNE", "IS", "ID")


class Group:
    """The segments of one order: ORC, RXA, RXR, OBX and NTE, as they stand in the message."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []

    def add(self, segment: Segment) -> None:
        """The next segment."""
        self.segments.append(segment)

    def first(self, name: str) -> Segment | None:
        """The first segment of this name."""
        return next((one for one in self.segments if one.name == name), None)

    @property
    def rxa(self) -> Segment | None:
        """The RXA."""
        return self.first("RXA")


class Dose(Struct, frozen=True):
    """One Immunization as sent, with RXA-21 (A, U, D) and the filler order number by which it is found again.

    `cleared`: elements that the message deletes by the HL7 null.
    """

    resource: Element
    action: str
    number: tuple[str, str]
    at: str
    url: str
    cleared: tuple[str, ...] = ()


def read(
    group: Group, n: int, patient: str, authority: str, notes: list[Note], zone: str
) -> tuple[Dose | None, list[Element]]:
    """The dose of a group (None for "no vaccine administered", or without an RXA) and its other observations."""
    readings = [Reading(one, notes, zone) for one in group.segments]
    by_name: dict[str, Reading] = {}
    for reading in readings:
        by_name.setdefault(reading.segment.name, reading)
    url = url_of(n)
    made = _dose(by_name, url, patient, authority) if "RXA" in by_name else None
    observed = [one for one in readings if one.segment.name == "OBX"]
    seen = _observations(observed, made, patient, by_name.get("RXA"))
    _numbered(made)
    _remarks(readings, made, seen)
    for reading in readings:
        told(reading)
    return made, seen


def url_of(n: int) -> str:
    """How the dose of the n-th group is referred to until it has an id."""
    return f"urn:uuid:00000000-0000-4000-8000-{n + 1:012d}"


# ---- the dose --------------------------------------------------------------------------------------------------


def _dose(by_name: dict[str, Reading], url: str, patient: str, authority: str) -> Dose | None:
    rxa = by_name["RXA"]
    rxa.skip(1, 2)
    if rxa.text(5) == tables.NO_VACCINE and rxa.text(5, 3) in ("CVX", ""):
        for field in (3, 4, 6, 20, 21):
            rxa.text(field)
        rxa.skip(5)
        if "ORC" in by_name:
            by_name["ORC"].skip(1, 2, 3)
        return None
    orc = by_name.get("ORC")
    numbers = _numbers(rxa, orc, authority)
    resource: Element = {"resourceType": "Immunization"} | present(
        identifier=numbers,
        patient={"reference": patient},
        vaccineCode=_vaccine(rxa),
        occurrenceDateTime=_given(rxa),
        doseQuantity=_amount(rxa),
        location=_place(rxa),
        lotNumber=_lot(rxa),
        expirationDate=date_time(rxa.first(16), day_only=True),
        manufacturer=_manufacturer(rxa),
        reasonCode=[one for one in map(concept, rxa.reps(19)) if one],
        recorded=date_time(rxa.first(22)) or (date_time(orc.first(9)) if orc else ""),
    )
    resource |= _status(rxa) | _origin(rxa) | _performers(rxa, orc) | _route(by_name.get("RXR"))
    filler = next(((n["system"], n["value"]) for n in numbers if _kind(n) == "FILL"), ("", ""))
    return Dose(resource, _action(rxa), filler, rxa.segment.at(), url, _cleared(rxa))


def _numbers(rxa: Reading, orc: Reading | None, authority: str) -> list[Element]:
    if orc is None:
        rxa.note(0, "A dose comes with its order (ORC)", "E", REQUIRED)
        return []
    if orc.text(1) != "RE":
        orc.note(1, "Only RE, observations to follow, is known here; taken as that", "W", TABLE_VALUE)
    filler = order_number(orc.first(3), "FILL", authority)
    if filler is None:
        orc.note(3, "Without a filler order number a dose cannot be found again", "E", REQUIRED)
    placer = order_number(orc.first(2), "PLAC", authority)
    return [one for one in (filler, placer) if one]


def _kind(one: Element) -> str:
    return str(one["type"]["coding"][0]["code"])


def _vaccine(rxa: Reading) -> Element | None:
    found = concept(rxa.first(5))
    systems = {one.get("system") for one in (found or {}).get("coding", [])}
    if not systems & {tables.CVX, tables.NDC}:
        rxa.note(5, "A vaccine is named by CVX or NDC", "E", TABLE_VALUE if found else REQUIRED)
    elif tables.CVX not in systems:
        rxa.note(5, "NDC without CVX: due lists count it only once it is mapped", "I", TABLE_VALUE)
    return found


def _given(rxa: Reading) -> str:
    if not rxa.reps(3):
        rxa.note(3, "A dose has a date", "E", REQUIRED)
    found = date_time(rxa.first(3), severity="E")
    end = rxa.text(4)
    if end and end[:8] != rxa.text(3)[:8]:
        rxa.note(4, "The end differs from the beginning and was not kept", "W")
    return found


def _amount(rxa: Reading) -> Element | None:
    rep = rxa.first(6)
    value = None if rep is None or rep.get(1) == UNKNOWN_AMOUNT else number(rep)
    unit = rxa.first(7)
    code, words, table = (unit.get(1), unit.get(2), unit.get(3)) if unit else ("", "", "")
    if value is None:
        return None
    known = code if table in ("UCUM", "") and code and units.valid(code) else ""
    if code and not known:
        rxa.note(7, "Not a unit of UCUM; kept as text", "I", TABLE_VALUE)
    return {"value": value} | present(unit=words or code, system=tables.UCUM if known else "", code=known)


def _lot(rxa: Reading) -> str:
    lots = [rep.get(1) for rep in rxa.reps(15)]
    if len(lots) > 1:
        rxa.note(15, "More than one lot number: kept together", "W")
    return ", ".join(lots)


def _manufacturer(rxa: Reading) -> Element | None:
    rep = rxa.first(17)
    if rep is None:
        return None
    code, words, table = rep.get(1), rep.get(2), rep.get(3)
    identified = present(system=tables.system_of(table or "MVX"), value=code) if code else None
    return present(type="Organization", identifier=identified, display=words or code) or None


def _place(rxa: Reading) -> Element | None:
    """RXA-11 (LA2): component 4 is the facility, an HD."""
    rep = rxa.first(11)
    if rep is None:
        return None
    name = rep.get(4)
    system = tables.authority("", rep.get(4, 2), rep.get(4, 3))
    shown = ", ".join(filter(None, (name, rep.get(1), rep.get(2), rep.get(3)))) or rep.get(4, 2)
    identified = {"system": system, "value": name or rep.get(4, 2)} if system else None
    return present(type="Location", identifier=identified, display=shown) if shown else None


def _status(rxa: Reading) -> Element:
    code = rxa.text(20)
    if code not in STATUSES:
        rxa.note(20, "A completion status is CP, PA, RE or NA", "E", TABLE_VALUE)
    out: Element = {"status": STATUSES.get(code, "completed")}
    reasons = [one for one in (concept(rep, "NIP002") for rep in rxa.reps(18)) if one]
    if code == "PA":
        out |= {
            "isSubpotent": True,
            "subpotentReason": [{"coding": [{"system": SUBPOTENT, "code": "partial"}]}],
        }
    if code == "RE":
        return out | {"statusReason": _refusal(rxa, reasons)}
    if reasons:
        rxa.note(18, "A reason of refusal, and RXA-20 says no refusal: not kept", "W", TABLE_VALUE)
    return out


def partial(resource: Element) -> bool:
    """Whether the only reason why the dose is sub-potent is that it was given in part."""
    codings = [one for reason in resource.get("subpotentReason", []) for one in reason.get("coding", [])]
    return bool(codings) and all(one.get("code") == "partial" for one in codings)


def _refusal(rxa: Reading, reasons: list[Element]) -> Element:
    if not reasons:
        rxa.note(18, "A refusal has a reason", "W", REQUIRED)
        return {"coding": [OBJECTION]}
    codings = [one for reason in reasons for one in reason.get("coding", [])]
    table = tables.system_of("NIP002")
    if any(one.get("system") == table and one.get("code") in tables.OBJECTIONS for one in codings):
        codings.append(OBJECTION)
    texts = ", ".join(reason["text"] for reason in reasons if "text" in reason)
    return present(coding=codings, text=texts)


def _origin(rxa: Reading) -> Element:
    """RXA-9: 00 is given here and now, anything else of NIP001 is what somebody reported."""
    for rep in rxa.reps(9):
        code = rep.get(1)
        if not code:
            continue
        found = concept(rep, "NIP001")
        return {"primarySource": True} if code == "00" else {"primarySource": False, "reportOrigin": found}
    if rxa.reps(9) or STATUSES.get(rxa.text(20)) != "completed":
        return {}
    rxa.note(9, "Whether the dose was given there or reported is not said", "W", REQUIRED)
    return {}


def _performers(rxa: Reading, orc: Reading | None) -> Element:
    held: list[Element] = []
    performers: list[Element] = []
    sources = [
        (rxa.first(10), "AP"),
        (orc.first(12) if orc else None, "OP"),
        (orc.first(10) if orc else None, "EP"),
    ]
    for rep, function in sources:
        made = practitioner(rep, function.lower()) if rep else None
        if made:
            held.append(made)
            coding = {"system": f"{tables.TERM}v2-0443", "code": function}
            performers.append({"function": {"coding": [coding]}, "actor": {"reference": f"#{made['id']}"}})
    return present(contained=held, performer=performers)


def _route(rxr: Reading | None) -> Element:
    if rxr is None:
        return {}
    return present(route=concept(rxr.first(1), "HL70162"), site=concept(rxr.first(2), "HL70163"))


def _action(rxa: Reading) -> str:
    action = rxa.text(21) or "A"
    if action not in ("A", "U", "D"):
        rxa.note(21, "An action is A, U or D", "E", TABLE_VALUE)
    return action


_NULLABLE = {
    6: "doseQuantity",
    10: "performer",
    11: "location",
    15: "lotNumber",
    16: "expirationDate",
    17: "manufacturer",
}


def _cleared(rxa: Reading) -> tuple[str, ...]:
    return tuple(name for field, name in _NULLABLE.items() if rxa.segment.null(field))


_PLAIN = re.compile(r"[^A-Za-z0-9.]")


# ---- what was observed of it ------------------------------------------------------------------------------------


def _observations(
    observed: list[Reading], made: Dose | None, patient: str, rxa: Reading | None
) -> list[Element]:
    """The Observations of a group; what has its place in the Immunization is put there."""
    out: list[Element] = []
    for obx in observed:
        obx.skip(1)
        if made is None or not _within(obx, made.resource):
            found = _observation(obx, patient, made.url if made else "", rxa)
            out += [found] if found else []
    return out


def _within(obx: Reading, dose: Element) -> bool:
    """Whether this OBX says something of the Immunization itself; then it is there now."""
    if obx.text(3, 3) != "LN":
        return False
    code = obx.text(3)
    put = _PLACES.get(code)
    if put is None or not obx.reps(5) or obx.text(11) not in ("", "F", "C"):
        return False
    obx.text(2)
    obx.text(3, 2)
    obx.skip(4, 14, 17)
    put(obx, dose)
    return True


def _funding(obx: Reading, dose: Element) -> None:
    dose["fundingSource"] = concept(obx.first(5), "CDCPHINVS")


def _eligibility(obx: Reading, dose: Element) -> None:
    dose.setdefault("programEligibility", []).append(concept(obx.first(5), "HL70064"))


def _protocol(dose: Element) -> Element:
    applied: list[Element] = dose.setdefault("protocolApplied", [{}])
    return applied[0]


def _dose_number(obx: Reading, dose: Element) -> None:
    _counted(obx, _protocol(dose), "doseNumber")


def _dose_count(obx: Reading, dose: Element) -> None:
    _counted(obx, _protocol(dose), "seriesDoses")


def _counted(obx: Reading, protocol: Element, name: str) -> None:
    text = obx.text(5)
    if text.isascii() and text.isdigit() and len(text) < 6 and int(text) > 0:
        protocol[f"{name}PositiveInt"] = int(text)
    else:
        protocol[f"{name}String"] = text


def _numbered(made: Dose | None) -> None:
    """FHIR wants a dose number beside a series; a message may name the series alone."""
    for protocol in made.resource.get("protocolApplied", []) if made else []:
        if not any(name.startswith("doseNumber") for name in protocol):
            protocol["doseNumberString"] = NOT_STATED


def _series(obx: Reading, dose: Element) -> None:
    _protocol(dose)["series"] = obx.text(5, 2) or obx.text(5)
    obx.text(5, 3)


def _schedule(obx: Reading, dose: Element) -> None:
    code, words, table = obx.text(5), obx.text(5, 2), obx.text(5, 3)
    identified = present(system=tables.system_of(table) if table else "", value=code)
    _protocol(dose)["authority"] = {
        "type": "Organization",
        "identifier": identified,
        "display": words or code,
    }


def _education(obx: Reading, dose: Element) -> Element:
    """The statement (VIS) that this OBX belongs to: OBX-4 ties them."""
    key = "vis-" + _PLAIN.sub("-", obx.text(4) or "1")[:32]
    found: list[Element] = dose.setdefault("education", [])
    known = next((one for one in found if one.get("id") == key), None)
    if known is None:
        known = {"id": key}
        found.append(known)
    return known


def _statement(obx: Reading, dose: Element) -> None:
    one = _education(obx, dose)
    code, words, table = obx.text(5), obx.text(5, 2), obx.text(5, 3)
    one["documentType"] = words or code
    if code and table:
        one["reference"] = f"{tables.system_of(table)}#{quote(code, safe='')}"


def _published(obx: Reading, dose: Element) -> None:
    _dated(obx, dose, "publicationDate")


def _presented(obx: Reading, dose: Element) -> None:
    _dated(obx, dose, "presentationDate")


def _dated(obx: Reading, dose: Element, name: str) -> None:
    found = date_time(obx.first(5), day_only=True)
    if found:
        _education(obx, dose)[name] = found


_PLACES = {
    tables.FUNDING: _funding,
    tables.ELIGIBILITY: _eligibility,
    tables.DOSE_NUMBER: _dose_number,
    tables.DOSES: _dose_count,
    tables.SERIES: _series,
    tables.SCHEDULE: _schedule,
    tables.VIS: _statement,
    tables.VACCINE_TYPE: _statement,
    tables.VIS_PUBLISHED: _published,
    tables.VIS_PRESENTED: _presented,
}


def _observation(obx: Reading, patient: str, part_of: str, rxa: Reading | None) -> Element | None:
    code = concept(obx.first(3))
    status = OBSERVATION_STATUS.get(obx.text(11))
    if code is None or status is None:
        obx.note(
            11 if code else 3,
            "An observation without a code or a known status was not kept",
            "W",
            TABLE_VALUE,
        )
        return None
    value = _value(obx)
    if not value and obx.reps(5):
        return None
    obx.text(4)
    day = date_time(obx.first(14)) or (date_time(rxa.first(3)) if rxa else "")
    return {"resourceType": "Observation", "status": status, "code": code} | present(
        subject={"reference": patient},
        partOf=[{"reference": part_of}] if part_of else [],
        effectiveDateTime=day,
        method=concept(obx.first(17)),
        **value,
    )


def _value(obx: Reading) -> dict[str, Any]:
    kind, rep = obx.text(2), obx.first(5)
    if rep is None:
        return {}
    if len(obx.reps(5)) > 1:
        obx.note(5, "Only the first of several values was kept", "W")
    if kind in CODED:
        return present(valueCodeableConcept=concept(rep))
    if kind in ("DT", "TS", "DTM"):
        return present(valueDateTime=date_time(rep))
    if kind == "NM":
        return _quantity(obx, rep)
    if kind in ("ST", "TX", "FT"):
        return present(valueString=rep.get(1))
    obx.note(2, "A value of this type was not kept", "W", TYPE)
    return {}


def _quantity(obx: Reading, rep: Rep) -> dict[str, Any]:
    value = number(rep)
    unit = obx.text(6)
    words, table = obx.text(6, 2), obx.text(6, 3)
    if value is None:
        return {}
    known = unit if unit and table in ("UCUM", "") and units.valid(unit) else ""
    return {
        "valueQuantity": {"value": value}
        | present(unit=words or unit, system=tables.UCUM if known else "", code=known)
    }


def _remarks(readings: list[Reading], made: Dose | None, seen: list[Element]) -> None:
    """NTE belongs to what stands before it: an Observation's last one, else the dose."""
    for nte in (one for one in readings if one.segment.name == "NTE"):
        nte.skip(1)
        text = "\n".join(rep.get(1) for rep in nte.reps(3))
        target = made.resource if made else (seen[-1] if seen else None)
        if text and target is not None:
            target.setdefault("note", []).append({"text": text})
        elif text:
            nte.notes.append(Note(nte.segment.at(3), "A remark on nothing that was kept", "W", OTHER))
