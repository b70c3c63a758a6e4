"""Each search term as SQL on the alias r. Values are always arguments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from msgspec import Struct

from commonchart.fhir import dates
from commonchart.fhir.definitions import r4
from commonchart.record.keys import patient_key, token
from commonchart.search.fold import fold
from commonchart.search.parameters import UNIONS, parameters, patient_parameter
from commonchart.search.query import Term, is_main_date
from commonchart.search.values import Value, plain
from commonchart.search.words import beginning, wanted

UCUM = "http://unitsofmeasure.org"
WORDS = "array_to_tsvector(string_to_array(x.words, ' '))"


class Sql(Struct):
    """SQL text under construction, with the arguments it has so far."""

    text: str
    args: list[Any]


def term_sql(rtype: str, term: Term, scoped: bool) -> Sql:
    """The condition of one term. `scoped`: another term names the patient, so few rows are looked at."""
    if term.modifier == "missing":
        return _missing(rtype, term)
    if term.kind == "text":
        return _texts(term)
    if term.kind == "token" and term.modifier == "text":
        return _coded_texts(rtype, term)
    patients = patients_of(rtype, term)
    if patients:
        keys = [patient_key(patient) for patient in patients]
        if len(keys) == 1:
            return Sql("r.pk = %s AND r.patient = %s", [keys[0], patients[0]])
        return Sql("r.pk = ANY(%s) AND r.patient = ANY(%s)", [keys, patients])
    if term.code in ("_id", "_lastUpdated"):
        return _row_column(rtype, term)
    if term.code in UNIONS and term.kind in ("token", "composite", "quantity"):
        return _union(rtype, term, scoped)
    if term.kind in ("token", "reference"):
        return _tokens(term, scoped)
    return _any(rtype, term, scoped)


def _any(rtype: str, term: Term, scoped: bool) -> Sql:
    """The alternatives of a term, joined by OR."""
    made = [_VALUES[term.kind](rtype, term, value, scoped) for value in term.values]
    return Sql("(" + " OR ".join(one.text for one in made) + ")", [arg for one in made for arg in one.args])


def _union(rtype: str, term: Term, scoped: bool) -> Sql:
    known = parameters(rtype)
    codes = [code for code in UNIONS[term.code] if code in known]
    if term.kind == "token":
        hashes = [
            h
            for code in codes
            for value in term.values
            for h in _hashes(code, "token", value.text, term.modifier)
        ]
        return _overlap(hashes, scoped, term.modifier == "not")
    made = [_any(rtype, Term(code, term.kind, term.values, term.modifier), scoped) for code in codes]
    return Sql("(" + " OR ".join(one.text for one in made) + ")", [arg for one in made for arg in one.args])


def _missing(rtype: str, term: Term) -> Sql:
    """Presence is a token; a composite on the whole resource is there when each of its parts is."""
    absent = term.values[0].text == "true"
    if term.code in ("_id", "_lastUpdated"):
        return Sql("false" if absent else "true", [])
    found = [_present(rtype, code) for code in UNIONS.get(term.code, (term.code,))]
    text = " OR ".join(one.text for one in found)
    return Sql(f"{'NOT ' if absent else ''}({text})", [arg for one in found for arg in one.args])


def _present(rtype: str, code: str) -> Sql:
    parameter = parameters(rtype).get(code)
    codes = [part.code for part in parameter.parts] if parameter is not None and parameter.whole else [code]
    hashes = [[token(one, "")] for one in codes]
    return Sql("(" + " AND ".join(["r.tokens && %s::bigint[]"] * len(hashes)) + ")", list(hashes))


def _texts(term: Term) -> Sql:
    made = [wanted(value.text, term.code) for value in term.values]
    return _exists("text_row", f"{WORDS} @@ %s::tsquery", [" | ".join(f"({one})" for one in made)])


def _coded_texts(rtype: str, term: Term) -> Sql:
    """`:text`: a text of the parameter begins with this. The words narrow it down by their index."""
    codes = list(UNIONS.get(term.code, (term.code,)))
    made = []
    for value in term.values:
        text = fold(plain(value.text))
        patterns = [f"%\n{_liked(code)}={_liked(text)}%" for code in codes]
        words = beginning(text)
        narrowed, args = (f"{WORDS} @@ %s::tsquery AND ", [words]) if words else ("", [])
        made.append(_exists("text_row", f"{narrowed}x.coded LIKE ANY(%s)", [*args, patterns]))
    return Sql("(" + " OR ".join(one.text for one in made) + ")", [arg for one in made for arg in one.args])


def _liked(text: str) -> str:
    """A text with the wildcards of LIKE as letters."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def patients_of(rtype: str, term: Term) -> list[str]:
    """The patient ids of a term that asks for just the row's own patient; empty when tokens must decide."""
    if term.kind != "reference" or term.modifier not in ("", "Patient") or not by_patient(rtype, term.code):
        return []
    found = []
    for value in term.values:
        text = value.text
        if "://" in text or ("/" in text and not text.startswith("Patient/")):
            return []
        if "/" not in text and term.code != "patient" and term.modifier != "Patient":
            return []
        found.append(text.removeprefix("Patient/"))
    return found


@cache
def by_patient(rtype: str, code: str) -> bool:
    """Whether the row's `patient` column says all about this parameter: its element occurs at most once."""
    first = patient_parameter(rtype)
    if code not in ("patient", first) or first not in ("patient", "subject", "beneficiary"):
        return False
    element = r4().elements(rtype).get(first)
    return element is not None and element.max == 1


# where an id is kept is looked up: the rows themselves are found by their shard only
_HELD = (
    "EXISTS (SELECT 1 FROM resource_loc l WHERE l.tenant = r.tenant AND l.rtype = r.rtype AND l.pk = r.pk "
    "AND l.id = r.id AND l.id = ANY(%s))"
)


def _row_column(rtype: str, term: Term) -> Sql:
    if term.code == "_id":
        ids = [value.text.removeprefix(f"{rtype}/") for value in term.values]
        if term.modifier == "not":
            return Sql("NOT r.id = ANY(%s)", [ids])
        return Sql(_HELD, [ids]) if not term.modifier else Sql("false", [])
    made = [_instant(value) for value in term.values]
    return Sql("(" + " OR ".join(one.text for one in made) + ")", [arg for one in made for arg in one.args])


def _instant(value: Value) -> Sql:
    lo, hi = value.lo, value.hi
    texts = {
        "eq": ("r.recorded >= %s AND r.recorded < %s", [lo, hi]),
        "ap": ("r.recorded >= %s AND r.recorded < %s", [lo, hi]),
        "ne": ("NOT (r.recorded >= %s AND r.recorded < %s)", [lo, hi]),
        "gt": ("r.recorded >= %s", [hi]),
        "sa": ("r.recorded >= %s", [hi]),
        "lt": ("r.recorded < %s", [lo]),
        "eb": ("r.recorded < %s", [lo]),
        "ge": ("r.recorded >= %s", [lo]),
        "le": ("r.recorded < %s", [hi]),
    }
    text, args = texts[value.prefix]
    return Sql(f"({text})", args)


def _hashes(code: str, kind: str, text: str, modifier: str) -> list[int]:
    if kind == "token" and modifier != "of-type":
        return [token(code, spelled) for spelled in spelled_tokens(text)]
    if modifier == "of-type":
        return [token(f"{code}:of-type", plain(text))]
    if modifier == "identifier":
        return [token(f"{code}:identifier", spelled) for spelled in spelled_tokens(text)]
    bare = text.partition("/_history/")[0]
    if modifier and "/" not in bare:
        bare = f"{modifier}/{bare}"
    return [token(code, bare)]


def spelled_tokens(text: str) -> list[str]:
    """The stored spellings that a token value of a query matches (see `index.tokens_of`)."""
    system, bar, code = halves(text)
    if not bar:
        return [code]
    if not code:
        return [f"{system}|"]
    return [f"{system}|{code}", f"*|{code}"]


def halves(text: str) -> tuple[str, str, str]:
    """System, "|" and code of a token value: the first two empty without a bar."""
    escaped = False
    for at, char in enumerate(text):
        if char == "|" and not escaped:
            return plain(text[:at]), "|", plain(text[at + 1 :])
        escaped = char == "\\" and not escaped
    return "", "", plain(text)


def _tokens(term: Term, scoped: bool) -> Sql:
    hashes = [h for value in term.values for h in _hashes(term.code, term.kind, value.text, term.modifier)]
    return _overlap(hashes, scoped, term.modifier == "not")


def _overlap(hashes: list[int], scoped: bool, negated: bool) -> Sql:
    """Token match. In one patient's rows the GIN index is hidden from the planner, which misjudges array columns."""
    column = "(r.tokens || '{}'::bigint[])" if scoped else "r.tokens"
    return Sql(f"{'NOT ' if negated else ''}({column} && %s::bigint[])", [hashes])


def _string(rtype: str, term: Term, value: Value, scoped: bool) -> Sql:
    if term.modifier == "exact":
        return _exists("string_row", "x.param = %s AND x.exact = %s", [term.code, value.text])
    like = _liked(fold(value.text))
    pattern = f"%{like}%" if term.modifier == "contains" else f"{like}%"
    return _exists("string_row", "x.param = %s AND x.folded LIKE %s", [term.code, pattern])


def _uri(rtype: str, term: Term, value: Value, scoped: bool) -> Sql:
    if term.modifier == "above":
        return _exists("uri_row", "x.param = %s AND x.value = ANY(%s)", [term.code, _above(value.text)])
    if term.modifier == "below":
        like = _liked(value.text).rstrip("/")
        return _exists(
            "uri_row",
            "x.param = %s AND (x.value = %s OR x.value LIKE %s)",
            [term.code, value.text, f"{like}/%"],
        )
    return _exists("uri_row", "x.param = %s AND x.value = %s", [term.code, value.text])


def _above(url: str) -> list[str]:
    """The url and every one that it lies below."""
    parts = url.rstrip("/").split("/")
    made = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
    return [*made, *(f"{one}/" for one in made)]


def _exists(table: str, condition: str, args: list[Any]) -> Sql:
    same = "x.pk = r.pk AND x.tenant = r.tenant AND x.rtype = r.rtype AND x.id = r.id"
    return Sql(f"EXISTS (SELECT 1 FROM {table} x WHERE {same} AND {condition})", args)


def _date(rtype: str, term: Term, value: Value, scoped: bool) -> Sql:
    if is_main_date(rtype, term.code):
        return _main_span(rtype, term.code, value)
    inner = _span("x.lo", "x.hi", value)
    return _exists("date_row", f"x.param = %s AND {inner.text}", [term.code, *inner.args])


def _main_span(rtype: str, code: str, value: Value) -> Sql:
    """The date that the row keeps. A Timing keeps its envelope there and, if it is more than one, each event in a row."""
    whole = _span("r.date_lo", "r.date_hi", value)
    if not timed(rtype) or value.prefix in ("gt", "lt"):
        return whole
    overlaps, more = _ENVELOPES.get(value.prefix, (None, []))
    events = _exists(
        "date_row", "x.param = %s AND " + (inner := _span("x.lo", "x.hi", value)).text, [code, *inner.args]
    )
    several = "(r.tokens || '{}'::bigint[]) && %s::bigint[]"
    marked = [token(code, "several")]
    args = [*whole.args, marked, marked, *events.args]
    text = f"(({whole.text} AND NOT {several}) OR ({several} AND {events.text}))"
    if overlaps is None:
        return Sql(text, args)
    ends = _widened(value) if value.prefix == "ap" else (value.lo, value.hi)
    return Sql(f"({overlaps} AND {text})", [*(ends[n] for n in more), *args])


# what the envelope must satisfy for any event to match, for the date index
_ENVELOPES: dict[str, tuple[str, list[int]]] = {
    "eq": ("r.date_lo < %s AND r.date_hi > %s", [1, 0]),
    "ge": ("r.date_hi > %s", [0]),
    "le": ("r.date_lo < %s", [1]),
    "sa": ("r.date_hi > %s", [1]),
    "eb": ("r.date_lo < %s", [0]),
    "ap": ("r.date_lo < %s AND r.date_hi > %s", [1, 0]),
}


@cache
def timed(rtype: str) -> bool:
    """Whether the main date of a type may be a Timing."""
    return rtype == "Observation"


def _span(lo: str, hi: str, value: Value) -> Sql:
    """A stored interval against the value's, by prefix (http://hl7.org/fhir/R4/search.html#prefix)."""
    start, end = value.lo, value.hi
    if value.prefix == "ap":
        start, end = _widened(value)
    texts: dict[str, tuple[str, list[Any]]] = {
        "eq": (f"{lo} >= %s AND {hi} <= %s", [start, end]),
        "ne": (f"NOT ({lo} >= %s AND {hi} <= %s)", [start, end]),
        "gt": (f"{hi} > %s", [end]),
        "lt": (f"{lo} < %s", [start]),
        "ge": (f"({lo} >= %s OR {hi} > %s)", [start, end]),
        "le": (f"({lo} < %s OR {hi} <= %s)", [start, end]),
        "sa": (f"{lo} >= %s", [end]),
        "eb": (f"{hi} <= %s", [start]),
        "ap": (f"{lo} < %s AND {hi} > %s", [end, start]),
    }
    text, args = texts[value.prefix]
    return Sql(f"({text})", args)


def _widened(value: Value) -> tuple[Any, Any]:
    assert value.lo is not None
    assert value.hi is not None
    margin = max((value.hi - value.lo) / 10, timedelta(days=1))
    lo = value.lo - margin if value.lo - dates.MIN > margin else dates.MIN
    return lo, value.hi + margin if dates.MAX - value.hi > margin else dates.MAX


def _amount(rtype: str, term: Term, value: Value, scoped: bool) -> Sql:
    inner = _measure(value)
    return _exists("quantity_row", f"x.param = %s AND {inner.text}", [term.code, *inner.args])


def _measure(value: Value) -> Sql:
    """A stored number, or range with an open end, against the value; without a prefix by its implied precision."""
    number, half = value.number, value.half
    assert number is not None
    assert half is not None
    around = abs(number) / 10 if value.prefix == "ap" else half
    texts: dict[str, tuple[str, list[Decimal]]] = {
        "eq": ("x.lo >= %s AND x.hi < %s", [number - around, number + around]),
        "ap": ("x.lo >= %s AND x.hi <= %s", [number - around, number + around]),
        "ne": ("NOT coalesce(x.lo >= %s AND x.hi < %s, false)", [number - around, number + around]),
        "gt": ("(x.hi > %s OR x.hi IS NULL)", [number]),
        "lt": ("(x.lo < %s OR x.lo IS NULL)", [number]),
        "ge": ("(x.hi >= %s OR x.hi IS NULL)", [number]),
        "le": ("(x.lo <= %s OR x.lo IS NULL)", [number]),
        "sa": ("x.lo > %s", [number]),
        "eb": ("x.hi < %s", [number]),
    }
    text, args = texts[value.prefix]
    units = _unit_hashes(value.unit)
    if not units:
        return Sql(f"({text})", list(args))
    return Sql(f"({text} AND x.unit = ANY(%s))", [*args, units])


def _unit_hashes(unit: str | None) -> list[int]:
    if unit is None:
        return []
    spelled = [unit, f"{UCUM}{unit}"] if unit.startswith("|") else [unit]
    return [token("unit", text) for text in spelled]


def _composite(rtype: str, term: Term, value: Value, scoped: bool) -> Sql:
    parameter = parameters(rtype)[term.code]
    if parameter.whole:
        made = [
            term_sql(rtype, Term(part.code, part.kind, (piece,)), scoped)
            for part, piece in zip(parameter.parts, value.parts, strict=True)
        ]
        return Sql("(" + " AND ".join(m.text for m in made) + ")", [arg for m in made for arg in m.args])
    head, tail = value.parts[0].text, value.parts[1]
    kind = parameter.parts[1].kind
    heads = spelled_tokens(head) if parameter.parts[0].kind == "token" else [head]
    if kind in ("token", "reference"):
        tails = spelled_tokens(tail.text) if kind == "token" else [tail.text]
        return _overlap([token(term.code, f"{h}${t}") for h in heads for t in tails], scoped, False)
    hashes = [token(term.code, h) for h in heads]
    inner = _composite_value(kind, tail)
    condition = f"x.param = %s AND x.token = ANY(%s) AND {inner.text}"
    return _exists("composite_row", condition, [term.code, hashes, *inner.args])


def _composite_value(kind: str, value: Value) -> Sql:
    if kind == "date":
        return _span("x.date_lo", "x.date_hi", value)
    if kind == "string":
        like = _liked(fold(value.text))
        return Sql("x.folded LIKE %s", [f"{like}%"])
    return _measure(value)


Part = Callable[[str, Term, Value, bool], Sql]

_VALUES: dict[str, Part] = {
    "string": _string,
    "uri": _uri,
    "date": _date,
    "number": _amount,
    "quantity": _amount,
    "composite": _composite,
}
