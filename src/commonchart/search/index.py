"""What search keeps of a resource: extracted once when it is written. Conventions: docs/reference/search.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

from msgspec.structs import replace

from commonchart.care.labels import labels_of, security_mask
from commonchart.fhir import dates, json
from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Invalid
from commonchart.fhir.path.nodes import Collection, Typed, root
from commonchart.record.keys import token
from commonchart.record.rows import Index
from commonchart.record.schema import SEARCH_ROWS
from commonchart.search.fold import fold
from commonchart.search.parameters import (
    UNIONS,
    Parameter,
    main_code,
    main_date,
    parameters,
    patient_parameter,
)
from commonchart.search.paths import heads
from commonchart.search.words import kept

MAX_TEXT = 500
MAX_CODED = 20_000
VERSION = 4
"""Of what is kept here. When it grows, a migration asks for everything to be indexed again (`record.reindex`)."""

Row = tuple[Any, ...]
_REFERENCE = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[^/]+)?$")


class _Found:
    """What one resource yields while it is walked."""

    __slots__ = ("coded", "rows", "tokens")

    def __init__(self) -> None:
        self.coded: list[str] = []
        self.tokens: set[int] = set()
        self.rows: dict[str, list[Row]] = {}

    def row(self, table: str, *values: Any) -> None:
        rows = self.rows.setdefault(table, [])
        if values not in rows:
            rows.append(values)


def extract(rtype: str, resource: dict[str, Any]) -> Index:
    """Everything that search and the chart's lists need to know of a resource."""
    found = _Found()
    focus = root(resource)
    span: tuple[datetime, datetime] | None = None
    dated, coded = main_date(rtype), main_code(rtype)
    code: int | None = None
    held: dict[str, Collection] = {}
    for parameter in _begun(rtype, frozenset(resource)):
        nodes = parameter.step(focus)
        if not nodes:
            continue
        held[parameter.code] = nodes
        found.tokens.add(token(parameter.code, ""))
        if parameter.code == dated:
            span = _main_date(parameter, nodes, found)
        else:
            _KEEP[parameter.kind](parameter, nodes, found)
        if parameter.code == coded:
            code = _first_coding("code", nodes)
    patient = patient_of(rtype, resource)
    _compartments(rtype, held, patient, found)
    if rtype == "Patient":
        _digits(resource, found)
    words = kept(resource)
    if words:
        found.row("text_row", words, "".join(found.coded)[:MAX_CODED])
    if "contained" in resource:
        found.rows["contained_row"] = [_inside(one) for one in resource["contained"]]
    return Index(
        patient=patient,
        status=_status(resource),
        code=code,
        category=_category(resource),
        date_lo=span[0] if span else None,
        date_hi=span[1] if span else None,
        tokens=sorted(found.tokens),
        rows=found.rows,
        labels=_labels(rtype, resource),
    )


@cache
def _personal(rtype: str) -> bool:
    """Whether the codes of a type say something about somebody: a value set that lists a code does not."""
    held = r4().compartment("Patient").get(rtype)
    return bool(held) or rtype in ("Patient", "Medication", "Bundle", "MessageHeader", "Binary", "Provenance")


def _labels(rtype: str, resource: dict[str, Any]) -> int:
    if _personal(rtype):
        return labels_of(resource)
    return security_mask((resource.get("meta") or {}).get("security") or ())


def _inside(contained: dict[str, Any]) -> Row:
    """A contained resource as a row of its own: what it would leave in other tables goes along as JSON."""
    rtype = contained["resourceType"]
    index = extract(rtype, {name: value for name, value in contained.items() if name != "contained"})
    kept = {
        table: [dict(zip(SEARCH_ROWS[table], map(_written, row), strict=True)) for row in rows]
        for table, rows in index.rows.items()
        if table != "identifier_row"
    }
    tokens = list(index.tokens)
    return rtype, contained.get("id", ""), tokens, index.date_lo, index.date_hi, json.encode(kept).decode()


def _written(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def extended(index: Index, resource: dict[str, Any], own: Iterable[Parameter]) -> Index:
    """The index with what further parameters find."""
    found = _Found()
    focus = root(resource)
    for parameter in own:
        nodes = parameter.step(focus)
        if nodes:
            found.tokens.add(token(parameter.code, ""))
            _KEEP[parameter.kind](parameter, nodes, found)
    rows = {table: list(held) for table, held in index.rows.items()}
    for table, held in found.rows.items():
        rows[table] = [*rows.get(table, ()), *held]
    if found.coded:
        words, coded = rows["text_row"][0] if "text_row" in rows else ("", "")
        rows["text_row"] = [(words, coded + "".join(found.coded)[:MAX_CODED])]
    return replace(index, tokens=sorted({*index.tokens, *found.tokens}), rows=rows)


@lru_cache(maxsize=4096)
def _begun(rtype: str, present: frozenset[str]) -> tuple[Parameter, ...]:
    """The parameters that may find something where these elements are."""
    return tuple(p for p, begins in _stored(rtype) if begins is None or not begins.isdisjoint(present))


@cache
def _stored(rtype: str) -> tuple[tuple[Parameter, frozenset[str] | None], ...]:
    """The parameters that leave something (not unions, nor composites over the whole resource), and where each begins."""
    return tuple(
        (p, heads(rtype, p.expression))
        for p in parameters(rtype).values()
        if p.code not in UNIONS and not p.whole and p.code not in _HOT and p.kind not in ("text", "list")
    )


_HOT = {"_id", "_lastUpdated"}


# ---- values ----------------------------------------------------------------------------------------------------


def tokens_of(nodes: Iterable[Typed]) -> Iterable[str]:
    """The spellings under which a token value is found: `s|c`, `c`, `|c` without a system, `*|c` for a code, `s|`."""
    for value, type_name, _ in nodes:
        if isinstance(value, dict):
            yield from _coded(value, type_name)
        elif isinstance(value, bool):
            yield from _bare("true" if value else "false")
        elif value is not None:
            yield from _bare(str(value))


def _bare(text: str) -> Iterable[str]:
    yield text
    yield f"*|{text}"


def _coded(value: dict[str, Any], type_name: str) -> Iterable[str]:
    if type_name == "CodeableConcept":
        for coding in value.get("coding") or ():
            yield from _pair(coding.get("system"), coding.get("code"))
    elif type_name == "Coding":
        yield from _pair(value.get("system"), value.get("code"))
    elif type_name == "Identifier":
        yield from _pair(value.get("system"), value.get("value"))
    elif type_name == "ContactPoint":
        if value.get("value"):
            yield from {value["value"], value["value"].lower()}
    elif type_name in ("Quantity", "Money"):
        yield from _pair(value.get("system"), value.get("code"))


def _pair(system: str | None, code: str | None) -> Iterable[str]:
    if code:
        yield code
        yield f"{system or ''}|{code}"
    if system:
        yield f"{system}|"


def _keep_tokens(parameter: Parameter, nodes: Collection, found: _Found) -> None:
    code = parameter.code
    for text in tokens_of(nodes):
        found.tokens.add(token(code, text))
    for value, type_name, _ in nodes:
        if type(value) is not dict:
            continue
        if type_name == "Identifier":
            _keep_identifier(code, value, found)
        for text in _token_texts(value, type_name):
            found.coded.append(f"\n{code}={fold(text[:MAX_TEXT])}")


def _keep_identifier(code: str, value: dict[str, Any], found: _Found) -> None:
    if not value.get("value"):
        return
    if code == "identifier":
        found.row("identifier_row", value.get("system", ""), value["value"][:MAX_TEXT])
    for coding in (value.get("type") or {}).get("coding") or ():
        if coding.get("code"):
            spelled = f"{coding.get('system') or ''}|{coding['code']}|{value['value']}"
            found.tokens.add(token(f"{code}:of-type", spelled))


def _token_texts(value: dict[str, Any], type_name: str) -> Iterable[str]:
    """What is told in words beside a code: for `:text`."""
    if type_name == "CodeableConcept":
        texts = {value.get("text"), *(coding.get("display") for coding in value.get("coding") or ())}
    elif type_name == "Coding":
        texts = {value.get("display")}
    elif type_name == "Identifier":
        texts = {(value.get("type") or {}).get("text")}
    else:
        return ()
    return sorted(text for text in texts if text)


def references_of(nodes: Iterable[Typed]) -> Iterable[str]:
    """The spellings of a reference: `Type/id` and `id`, or the URL as it is (with and without version)."""
    for value, _, _ in nodes:
        text = value.get("reference") if isinstance(value, dict) else value
        if not isinstance(text, str) or text.startswith("#"):
            continue
        named = _REFERENCE.search(text)
        if named and named[1] in r4().resource_types:
            yield f"{named[1]}/{named[2]}"
            yield named[2]
        if "://" in text or text.startswith("urn:"):
            yield text
            yield text.partition("|")[0]


def _keep_references(parameter: Parameter, nodes: Collection, found: _Found) -> None:
    for text in references_of(nodes):
        found.tokens.add(token(parameter.code, text))
    for value, _, _ in nodes:
        if isinstance(value, dict) and isinstance(value.get("identifier"), dict):
            for text in _coded(value["identifier"], "Identifier"):
                found.tokens.add(token(f"{parameter.code}:identifier", text))


_NAME = ("family", "given", "prefix", "suffix", "text")
_ADDRESS = ("line", "city", "district", "state", "postalCode", "country", "text")


def texts_of(nodes: Iterable[Typed]) -> Iterable[str]:
    """The texts of a string value: the parts of a name or an address, or the string."""
    for value, type_name, _ in nodes:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            for part in _ADDRESS if type_name == "Address" else _NAME:
                held = value.get(part)
                yield from (t for t in held if t) if isinstance(held, list) else (held,) if held else ()


def _keep_strings(parameter: Parameter, nodes: Collection, found: _Found) -> None:
    for text in texts_of(nodes):
        found.row("string_row", parameter.code, fold(text[:MAX_TEXT]), text[:MAX_TEXT])


def spans_of(nodes: Iterable[Typed]) -> Iterable[tuple[datetime, datetime]]:
    """The intervals of date values; a Timing is its events, or its bounds."""
    for value, type_name, _ in nodes:
        try:
            if isinstance(value, str):
                yield dates.bounds(value)
            elif type_name == "Period" and isinstance(value, dict):
                yield dates.period_bounds(value)
            elif type_name == "Timing" and isinstance(value, dict):
                yield from _timing(value)
        except Invalid:  # such as a second 60, which the calendar here has no place for
            continue


def _timing(value: dict[str, Any]) -> Iterable[tuple[datetime, datetime]]:
    """Each event, or the bounds when no event is named."""
    events = [dates.bounds(event) for event in value.get("event") or () if event]
    period = (value.get("repeat") or {}).get("boundsPeriod")
    return events or ([dates.period_bounds(period)] if period else [])


def _main_date(parameter: Parameter, nodes: Collection, found: _Found) -> tuple[datetime, datetime] | None:
    """The envelope of the dates; several are kept one by one as well."""
    spans = list(spans_of(nodes))
    if len(spans) > 1:
        found.tokens.add(token(parameter.code, "several"))
        _keep_dates(parameter, nodes, found)
    return (min(lo for lo, _ in spans), max(hi for _, hi in spans)) if spans else None


def _keep_dates(parameter: Parameter, nodes: Collection, found: _Found) -> None:
    for lo, hi in spans_of(nodes):
        found.row("date_row", parameter.code, lo, hi)


Amount = tuple[int | None, Decimal | None, Decimal | None]


def amounts_of(nodes: Iterable[Typed]) -> Iterable[Amount]:
    """(unit, low, high) of numbers, quantities, money and ranges; a quantity comes once per spelling of its unit."""
    for value, type_name, _ in nodes:
        if isinstance(value, dict):
            if type_name == "Range":
                yield from _range(value)
            elif value.get("value") is not None:
                yield from _quantity(value)
        elif isinstance(value, int | Decimal) and not isinstance(value, bool):
            yield None, Decimal(value), Decimal(value)


def _quantity(value: dict[str, Any]) -> Iterable[Amount]:
    number = Decimal(value["value"])
    lo: Decimal | None = number
    hi: Decimal | None = number
    if value.get("comparator") in ("<", "<="):
        lo = None
    elif value.get("comparator") in (">", ">="):
        hi = None
    for unit in _units(value):
        yield unit, lo, hi


def _units(value: dict[str, Any]) -> list[int | None]:
    code = value.get("code") or value.get("currency")
    spelled = [f"{value.get('system') or ''}|{code}"] if code else []
    if value.get("unit") and value["unit"] != code:
        spelled.append(f"|{value['unit']}")
    return [token("unit", text) for text in spelled] or [None]


def _range(value: dict[str, Any]) -> Iterable[Amount]:
    low, high = value.get("low") or {}, value.get("high") or {}
    ends = [Decimal(end["value"]) if end.get("value") is not None else None for end in (low, high)]
    if any(end is not None for end in ends):
        for unit in _units(low or high):
            yield unit, ends[0], ends[1]


def _keep_amounts(parameter: Parameter, nodes: Collection, found: _Found) -> None:
    for unit, lo, hi in amounts_of(nodes):
        found.row("quantity_row", parameter.code, unit, lo, hi)


def _keep_uris(parameter: Parameter, nodes: Collection, found: _Found) -> None:
    for value, _, _ in nodes:
        if isinstance(value, str):
            found.row("uri_row", parameter.code, value[:MAX_TEXT])


def _keep_composites(parameter: Parameter, nodes: Collection, found: _Found) -> None:
    first, second = parameter.parts[0], parameter.parts[1]
    for node in nodes:
        heads = set(
            tokens_of(first.step([node])) if first.kind == "token" else references_of(first.step([node]))
        )
        values = second.step([node])
        if heads and values:
            _pairs(parameter.code, heads, second.kind, values, found)


def _pairs(code: str, heads: set[str], kind: str, values: Collection, found: _Found) -> None:
    rows: list[tuple[Any, ...]] = []
    if kind in ("quantity", "number"):
        rows = [(unit, lo, hi, None, None, None) for unit, lo, hi in amounts_of(values)]
    elif kind == "date":
        rows = [(None, None, None, lo, hi, None) for lo, hi in spans_of(values)]
    elif kind == "string":
        rows = [(None, None, None, None, None, fold(text[:MAX_TEXT])) for text in texts_of(values)]
    elif kind in ("token", "reference"):
        tails = tokens_of(values) if kind == "token" else references_of(values)
        found.tokens.update(token(code, f"{head}${tail}") for tail in tails for head in heads)
    for head in heads:
        for row in rows:
            found.row("composite_row", code, token(code, head), *row)


Keep = Callable[[Parameter, Collection, _Found], None]

_KEEP: dict[str, Keep] = {
    "token": _keep_tokens,
    "reference": _keep_references,
    "string": _keep_strings,
    "date": _keep_dates,
    "number": _keep_amounts,
    "quantity": _keep_amounts,
    "uri": _keep_uris,
    "composite": _keep_composites,
}


# ---- what the row itself carries -------------------------------------------------------------------------------


# what is about a patient though the Patient compartment leaves it out: search finds these by their tokens
OUTSIDE = {"Device": "patient"}


def patient_of(rtype: str, resource: dict[str, Any]) -> str | None:
    """The id of the patient that a resource is about: its own for a Patient, else by the compartment (`patient_parameter`).

    A Device is in no compartment of R4, and is a patient's all the same where it names one (US Core, implantable devices).
    """
    if rtype == "Patient":
        found = resource.get("id")
        return str(found) if found else None
    code = patient_parameter(rtype) or OUTSIDE.get(rtype, "")
    if not code:
        return None
    nodes = parameters(rtype)[code].step(root(resource))
    return next((text[8:] for text in references_of(nodes) if text.startswith("Patient/")), None)


def _compartments(rtype: str, held: Mapping[str, Collection], patient: str | None, found: _Found) -> None:
    """Every patient compartment the resource is in beside its own patient's, as `_compartment` tokens."""
    if patient:
        found.tokens.add(token("_compartment", f"Patient/{patient}"))
    for code in r4().compartment("Patient").get(rtype, ()):
        for text in references_of(held.get(code, ())):
            if text.startswith("Patient/"):
                found.tokens.add(token("_compartment", text))


def _digits(resource: dict[str, Any], found: _Found) -> None:
    """The digits of phone and record numbers, so that they are found however they are spaced."""
    phones = [p.get("value") for p in resource.get("telecom") or () if p.get("system") in ("phone", "sms")]
    numbers = [i.get("value") for i in resource.get("identifier") or ()]
    for text in (*phones, *numbers):
        digits = re.sub(r"\D", "", text or "")
        if len(digits) >= 3:
            found.row("string_row", "_digits", digits[-40:], "")


def _first_coding(param: str, nodes: Collection) -> int | None:
    for value, type_name, _ in nodes:
        codings = (
            value.get("coding") or [] if type_name == "CodeableConcept" and isinstance(value, dict) else []
        )
        for coding in codings:
            if coding.get("code"):
                return token(param, f"{coding.get('system') or ''}|{coding['code']}")
    return None


def _category(resource: dict[str, Any]) -> int | None:
    held = resource.get("category")
    entries = held if isinstance(held, list) else [held]
    nodes: Collection = [(entry, "CodeableConcept", None) for entry in entries if isinstance(entry, dict)]
    return _first_coding("category", nodes)


def _status(resource: dict[str, Any]) -> str | None:
    status = resource.get("status")
    if isinstance(status, str):
        return status
    clinical = resource.get("clinicalStatus")
    codings = clinical.get("coding") or [] if isinstance(clinical, dict) else []
    return next((str(coding["code"]) for coding in codings if coding.get("code")), None)
