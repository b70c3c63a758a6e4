"""From FHIR data types to HL7 v2's: the other way of `reading`. Every function gives a value for `message.built`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from commonchart.exchange.v2 import tables
from commonchart.exchange.v2.message import Component, Repetition
from commonchart.exchange.v2.reading import Element

_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(\.\d{1,4})?\d*)?(Z|[+-]\d\d:\d\d)?)?)?)?"
)
_PHONE = re.compile(r"(?:\+?1[ .-]?)?\(?(\d{3})\)?[ .-]?(\d{3})[ .-]?(\d{4})(?: ext\. (.+))?")

Triple = tuple[str, str, str]


def moment(text: str, *, day_only: bool = False) -> str:
    """A FHIR date, dateTime or instant as a TS; "" for anything else."""
    found = _DATE.fullmatch(text or "")
    if found is None:
        return ""
    year, month, day, hour, minute, second, fraction, zone = (part or "" for part in found.groups())
    date = year + month + day
    if day_only or not hour:
        return date
    offset = "+0000" if zone == "Z" else zone.replace(":", "")
    return f"{date}{hour}{minute}{second or '00'}{fraction}{offset}"


def coding(one: Mapping[str, Any], words: str = "") -> Triple:
    """(code, text, coding system) of a Coding; the system is L, local, when v2 has no name for it."""
    code = str(one.get("code", ""))
    table = tables.table_of(str(one.get("system", "")))
    return code, str(one.get("display") or words), (table or "L") if code else ""


def concept(element: Mapping[str, Any] | None, *systems: str) -> Repetition:
    """A CE: the coding of the first of `systems` that there is, else the first; then one more; or the text alone."""
    element = element or {}
    words = str(element.get("text", ""))
    codings = [one for one in element.get("coding", []) if one.get("code")]
    codings.sort(key=lambda one: _place(one, systems))
    if not codings:
        return ("", words) if words else ""
    return tuple(part for one in codings[:2] for part in coding(one, words))


def _place(one: Mapping[str, Any], systems: Sequence[str]) -> int:
    system = one.get("system", "")
    if system in systems:
        return systems.index(system)
    return len(systems) + (0 if tables.table_of(str(system)) else 1)


def coded(element: Mapping[str, Any] | None, system: str) -> Mapping[str, Any] | None:
    """The coding of this system in a concept."""
    return next((one for one in (element or {}).get("coding", []) if one.get("system") == system), None)


def authority(system: str, assigner: Mapping[str, Any] | None = None) -> Triple:
    """(namespace, universal id, its type): an HD."""
    namespace, universal, kind = tables.parts_of(system)
    return namespace or str((assigner or {}).get("display", "")), universal, kind


def kind_of(identifier: Mapping[str, Any]) -> str:
    """The type of an Identifier in table 0203, "" if it has none."""
    found = coded(identifier.get("type"), tables.KINDS)
    return str(found.get("code", "")) if found else ""


def identifier(one: Mapping[str, Any], default: str = "") -> Repetition:
    """A CX. `default`: the authority of a value that names none."""
    system = str(one.get("system") or default)
    kind = kind_of(one)
    if system == tables.SSN:
        return (str(one.get("value", "")), "", "", "USSSA", "SS")
    period = one.get("period") or {}
    return (
        str(one.get("value", "")), "", "", authority(system, one.get("assigner")), kind or "PI", "",
        moment(period.get("start", ""), day_only=True), moment(period.get("end", ""), day_only=True),
    )  # fmt: skip


def order_number(one: Mapping[str, Any]) -> Repetition:
    """An EI."""
    return (str(one.get("value", "")), *authority(str(one.get("system", "")), one.get("assigner")))


def person_name(one: Mapping[str, Any], default: str = "") -> tuple[str, ...]:
    """An XPN. `default`: the type of a name that names none."""
    kind = tables.first_of(tables.NAMES, str(one.get("use", ""))) or default
    return (*_name_parts(one), kind)


def _name_parts(one: Mapping[str, Any]) -> tuple[str, ...]:
    given, suffix = list(one.get("given", [])), list(one.get("suffix", []))
    family = str(one.get("family") or ("" if given else one.get("text", "")))
    prefix = " ".join(one.get("prefix", []))
    return family, *_two(given), _two(suffix)[0], prefix, _two(suffix)[1]


def _two(parts: list[str]) -> tuple[str, str]:
    return (parts[0] if parts else "", " ".join(parts[1:]))


def address(one: Mapping[str, Any]) -> Repetition:
    """An XAD."""
    kind = "M" if one.get("type") == "postal" else tables.first_of(tables.ADDRESSES, str(one.get("use", "")))
    parts = (str(one.get(name, "")) for name in ("city", "state", "postalCode", "country"))
    lines = _two(list(one.get("line", [])) or [str(one.get("text", ""))])
    return (*lines, *parts, kind, "", str(one.get("district", "")))


def telecom(one: Mapping[str, Any]) -> Repetition:
    """An XTN: a North American number by its parts, any other unformatted."""
    value, system, use = (str(one.get(name, "")) for name in ("value", "system", "use"))
    if system == "email":
        return ("", "NET", "Internet", value)
    equipment = "CP" if use == "mobile" else {"fax": "FX", "pager": "BP"}.get(system, "PH")
    kind = {"work": "WPN", "temp": "VHN"}.get(use, "PRN")
    found = _PHONE.fullmatch(value)
    if found is None:
        return ("", kind, equipment, "", "", "", "", "", "", "", "", value)
    area, first, last, extension = found.groups()
    return ("", kind, equipment, "", "", area, first + last, extension or "")


def practitioner(one: Mapping[str, Any] | None, display: str = "") -> Repetition:
    """An XCN of a Practitioner, or of the words beside a reference alone."""
    if one is None:
        return ("", display) if display else ""
    number: Mapping[str, Any] = next(iter(one.get("identifier", [])), {})
    name: Mapping[str, Any] = next(iter(one.get("name", [])), {})
    holder: Component = authority(str(number.get("system", "")), number.get("assigner"))
    kind = tables.first_of(tables.NAMES, str(name.get("use", "")))
    return (str(number.get("value", "")), *_name_parts(name), "", holder, kind, "", "", kind_of(number))


def actor(resource: Element, function: str, people: Mapping[str, Element]) -> Repetition:
    """The XCN of the performer of an Immunization with this function (AP, OP, EP of table 0443)."""
    for one in resource.get("performer", []):
        code = coded(one.get("function"), f"{tables.TERM}v2-0443")
        if (code or {"code": "AP"}).get("code") == function:
            who = one.get("actor", {})
            return practitioner(_held(resource, who.get("reference", ""), people), who.get("display", ""))
    return ""


def _held(resource: Element, reference: str, people: Mapping[str, Element]) -> Element | None:
    if reference.startswith("#"):
        return next((one for one in resource.get("contained", []) if one.get("id") == reference[1:]), None)
    found = people.get(reference)
    return found if found and found.get("resourceType") == "Practitioner" else None
