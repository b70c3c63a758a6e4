"""FHIR resources as the segments of a registry's message: PID, NK1, and ORC, RXA, RXR, OBX for a dose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from commonchart.exchange.v2 import tables, writing
from commonchart.exchange.v2.dose import NOT_STATED, UNKNOWN_AMOUNT
from commonchart.exchange.v2.message import Repetition, Segment, Value, built
from commonchart.exchange.v2.person import MAIDEN, US_CORE
from commonchart.exchange.v2.reading import Element

NIP001 = tables.system_of("NIP001")
NIP002 = tables.system_of("NIP002")
NOTHING_GIVEN: Repetition = ("998", "No vaccine administered", "CVX")


# ---- the person ------------------------------------------------------------------------------------------------


def pid(patient: Element, authority: str, n: int = 1) -> Segment:
    """The PID of a Patient. `authority`: the keeper of identifiers that name none."""
    identifiers = [
        writing.identifier(one, authority) for one in patient.get("identifier", []) if one.get("value")
    ]
    if not identifiers and patient.get("id"):
        identifiers = [writing.identifier({"value": patient["id"], "system": authority})]
    names = [writing.person_name(one, "" if n else "L") for n, one in enumerate(patient.get("name", []))]
    maiden = next(
        (one["valueString"] for one in patient.get("extension", []) if one.get("url") == MAIDEN), ""
    )
    languages: list[Element] = patient.get("communication", [])
    language = languages[0].get("language") if languages else None
    values: dict[int, Value] = {
        1: str(n),
        3: identifiers,
        5: list(names),
        6: (maiden, "", "", "", "", "", "M") if maiden else "",
        7: writing.moment(patient.get("birthDate", "")),
        8: tables.first_of(tables.GENDERS, patient.get("gender", "")),
        10: _race(patient, "us-core-race"),
        11: [writing.address(one) for one in patient.get("address", [])],
        13: [writing.telecom(one) for one in patient.get("telecom", [])],
        15: writing.concept(language),
        16: writing.concept(patient.get("maritalStatus")),
        22: _race(patient, "us-core-ethnicity"),
    }
    return built("PID", values | _birth(patient) | _death(patient))


def _race(patient: Element, name: str) -> list[Repetition]:
    found: Element = next(
        (one for one in patient.get("extension", []) if one.get("url") == US_CORE + name), {}
    )
    codings = [one["valueCoding"] for one in found.get("extension", []) if "valueCoding" in one]
    return [writing.coding(one) for one in codings]


def _birth(patient: Element) -> dict[int, Value]:
    if "multipleBirthInteger" in patient:
        return {24: "Y", 25: str(patient["multipleBirthInteger"])}
    many = patient.get("multipleBirthBoolean")
    return {} if many is None else {24: "Y" if many else "N"}


def _death(patient: Element) -> dict[int, Value]:
    if "deceasedDateTime" in patient:
        return {29: writing.moment(patient["deceasedDateTime"]), 30: "Y"}
    dead = patient.get("deceasedBoolean")
    return {} if dead is None else {30: "Y" if dead else "N"}


def nk1(related: Element, n: int) -> Segment:
    """The NK1 of a RelatedPerson."""
    kinds = related.get("relationship", [])
    return built(
        "NK1",
        {
            1: str(n),
            2: [writing.person_name(one, "" if n else "L") for n, one in enumerate(related.get("name", []))],
            3: writing.concept(kinds[0], f"{tables.TERM}v2-0063") if kinds else "",
            4: [writing.address(one) for one in related.get("address", [])],
            5: [writing.telecom(one) for one in related.get("telecom", [])],
            7: writing.concept(kinds[1]) if len(kinds) > 1 else "",
            15: tables.first_of(tables.GENDERS, related.get("gender", "")),
            16: writing.moment(related.get("birthDate", "")),
            33: [writing.identifier(one) for one in related.get("identifier", [])],
        },
    )


# ---- a dose ----------------------------------------------------------------------------------------------------


def order(dose: Element, authority: str, people: Mapping[str, Element]) -> list[Segment]:
    """ORC, RXA and RXR of an Immunization. A dose without a filler number goes by its id here."""
    numbers = {writing.kind_of(one): one for one in reversed(dose.get("identifier", []))}
    filler = numbers.get("FILL") or {"value": dose.get("id", ""), "system": authority}
    orc = built(
        "ORC",
        {
            1: "RE",
            2: writing.order_number(numbers["PLAC"]) if "PLAC" in numbers else "",
            3: writing.order_number(filler),
            9: writing.moment(dose.get("recorded", "")),
            10: writing.actor(dose, "EP", people),
            12: writing.actor(dose, "OP", people),
        },
    )
    rxr = built("RXR", {1: writing.concept(dose.get("route")), 2: writing.concept(dose.get("site"))})
    return [orc, rxa(dose, people), *([rxr] if rxr.raw else [])]


def rxa(dose: Element, people: Mapping[str, Element]) -> Segment:
    """The RXA of an Immunization."""
    amount = dose.get("doseQuantity") or {}
    status, reasons = _status(dose)
    return built(
        "RXA",
        {
            1: "0",
            2: "1",
            3: writing.moment(dose.get("occurrenceDateTime", "")),
            5: writing.concept(dose.get("vaccineCode"), tables.CVX, tables.NDC),
            6: str(amount["value"]) if "value" in amount else UNKNOWN_AMOUNT,
            7: _unit(amount),
            9: _origin(dose),
            10: writing.actor(dose, "AP", people),
            11: _place(dose.get("location")),
            15: dose.get("lotNumber", ""),
            16: writing.moment(dose.get("expirationDate", "")),
            17: _manufacturer(dose.get("manufacturer")),
            18: reasons,
            19: [writing.concept(one) for one in dose.get("reasonCode", [])],
            20: status,
            21: "D" if dose.get("status") == "entered-in-error" else "A",
        },
    )


def _unit(amount: Element) -> Repetition:
    code = str(amount.get("code", ""))
    words = str(amount.get("unit", ""))
    if amount.get("system") == tables.UCUM and code:
        return (code, words or code, "UCUM")
    return ("", words) if words else ""


def _origin(dose: Element) -> Repetition:
    primary = dose.get("primarySource")
    if primary:
        return ("00", "New Record", "NIP001")
    found = writing.coded(dose.get("reportOrigin"), NIP001)
    if found:
        return writing.coding(found)
    return "" if primary is None else (tables.HISTORICAL, "Historical", "NIP001")


def _place(location: Element | None) -> Repetition:
    """RXA-11.4."""
    if not location:
        return ""
    found = location.get("identifier") or {}
    _, universal, kind = writing.authority(str(found.get("system", "")))
    name = str(found.get("value") or location.get("display", ""))
    return ("", "", "", (name if name != universal else "", universal, kind))


def _manufacturer(organization: Element | None) -> Repetition:
    found = (organization or {}).get("identifier") or {}
    words = str((organization or {}).get("display", ""))
    if found.get("value"):
        return writing.coding({"code": found["value"], "system": found.get("system"), "display": words})
    return ("", words) if words else ""


def _status(dose: Element) -> tuple[str, list[Repetition]]:
    """RXA-20 and RXA-18: refused only when somebody objected, else not given for another reason."""
    if dose.get("status") != "not-done":
        partial = writing.coded(
            next(iter(dose.get("subpotentReason", [])), None), f"{tables.TERM}immunization-subpotent-reason"
        )
        return ("PA" if partial and partial.get("code") == "partial" else "CP"), []
    codings = dose.get("statusReason", {}).get("coding", [])
    refusals: list[Repetition] = [writing.coding(one) for one in codings if one.get("system") == NIP002]
    if not refusals and any(one.get("code") in ("PATOBJ", "RELIG") for one in codings):
        refusals = [("02", "Other", "NIP002")]
    return ("RE" if refusals else "NA"), refusals


# ---- what is observed of a dose --------------------------------------------------------------------------------


class Observed:
    """The OBX of one order, numbered as they are added; `group` is OBX-4, which ties those that belong together."""

    def __init__(self, day: str = "") -> None:
        self.day = day
        self.group = 1
        self.segments: list[Segment] = []

    def add(self, code: str, kind: str, value: Value, *, day: str = "", unit: Repetition = "") -> None:
        """One OBX of a LOINC code; nothing for an empty value."""
        self.coded((code, tables.WORDS.get(code, ""), "LN"), kind, value, day=day, unit=unit)

    def coded(
        self, code: Repetition, kind: str, value: Value, *, day: str = "", unit: Repetition = "",
        status: str = "F", method: Repetition = "",
    ) -> None:  # fmt: skip
        """One OBX of any code."""
        if value in ("", [], ()):
            return
        n = len(self.segments) + 1
        fields: dict[int, Value] = {
            1: str(n), 2: kind, 3: code, 4: str(self.group), 5: value, 6: unit, 11: status,
            14: day or self.day, 17: method,
        }  # fmt: skip
        self.segments.append(built("OBX", fields))


def observed(dose: Element, seen: Sequence[Element]) -> list[Segment]:
    """The OBX of a dose: funding, eligibility, statements, protocol, and the Observations that are part of it."""
    out = Observed(writing.moment(dose.get("occurrenceDateTime", ""), day_only=True))
    out.add(tables.FUNDING, "CE", writing.concept(dose.get("fundingSource")))
    for one in dose.get("programEligibility", []):
        out.add(tables.ELIGIBILITY, "CE", writing.concept(one))
    for one in dose.get("protocolApplied", []):
        _protocol(out, one)
    for one in dose.get("education", []):
        _statement(out, one)
    for one in seen:
        out.group += 1
        observation(out, one)
    return out.segments


def _protocol(out: Observed, one: Mapping[str, Any]) -> None:
    out.group += 1
    authority = one.get("authority") or {}
    named = authority.get("identifier") or {}
    words = str(authority.get("display", ""))
    schedule = writing.coding(
        {"code": named.get("value", ""), "system": named.get("system"), "display": words}
    )
    out.add(tables.SCHEDULE, "CE", schedule if any(schedule) else "")
    out.add(tables.SERIES, "ST", str(one.get("series", "")))
    for code, name in ((tables.DOSE_NUMBER, "doseNumber"), (tables.DOSES, "seriesDoses")):
        text = str(one.get(f"{name}String", ""))
        out.add(code, "NM", str(one.get(f"{name}PositiveInt", "")))
        out.add(code, "ST", "" if text == NOT_STATED else text)


def _statement(out: Observed, one: Mapping[str, Any]) -> None:
    out.group += 1
    system, _, code = str(one.get("reference", "")).rpartition("#")
    words = str(one.get("documentType", ""))
    kind = tables.VACCINE_TYPE if system == tables.CVX else tables.VIS
    given = (unquote(code), words, tables.table_of(system)) if tables.table_of(system) else ("", words)
    out.add(kind, "CE", given if any(given) else "")
    out.add(tables.VIS_PUBLISHED, "DT", writing.moment(one.get("publicationDate", ""), day_only=True))
    out.add(tables.VIS_PRESENTED, "DT", writing.moment(one.get("presentationDate", ""), day_only=True))


_STATUS = {"final": "F", "amended": "C", "corrected": "C", "preliminary": "P", "registered": "P", "cancelled": "X",
           "entered-in-error": "D"}  # fmt: skip


def observation(out: Observed, one: Element) -> None:
    """The OBX of an Observation."""
    kind, value, unit = _value(one)
    out.coded(
        writing.concept(one.get("code"), tables.LOINC), kind, value, unit=unit,
        day=writing.moment(one.get("effectiveDateTime", "")),
        status=_STATUS.get(one.get("status", ""), "F"), method=writing.concept(one.get("method")),
    )  # fmt: skip


def _value(one: Element) -> tuple[str, Value, Repetition]:
    if "valueCodeableConcept" in one:
        return "CE", writing.concept(one["valueCodeableConcept"]), ""
    if "valueQuantity" in one:
        return "NM", str(one["valueQuantity"].get("value", "")), _unit(one["valueQuantity"])
    if "valueDateTime" in one:
        return "TS", writing.moment(one["valueDateTime"]), ""
    return "ST", str(one.get("valueString", "")), ""
