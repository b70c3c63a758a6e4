"""A site's own version of a rule: read from its text with every mistake named, and laid over the pack in the box.

The text is that of a rule file (`docs/reference/rules.md`) without `version` and `review`, which the site does not choose:
a version is numbered when it is kept, and is *not reviewed* until a clinician of the site approves it. It may define code
sets (`[sets.NAME]`) and analytes (`[analytes.NAME]`) of its own, under names that the pack does not have.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, get_type_hints

import msgspec
from msgspec import Struct
from msgspec.structs import fields

from commonchart.care.checks import circles, problems, shared_problems
from commonchart.care.rules import remade
from commonchart.care.schema import Analyte, CodeSet, Pack, Rule
from commonchart.fhir.outcome import Invalid, Issue

MOST_CHARACTERS = 40_000
ID = re.compile(r"[a-z][a-z0-9-]{1,48}")
GIVEN = ("version", "review")
_SPOKEN = ("title", "plain", "authority", "source", "states")
_SYSTEMS = tuple(name for name in CodeSet.__struct_fields__ if name not in ("names", "with_site"))
_UNKNOWN = re.compile(r"Object contains unknown field `([^`]+)`(?: - at `\$\.?([^`]*)`)?")
_MISSING = re.compile(r"Object missing required field `([^`]+)`(?: - at `\$\.?([^`]*)`)?")
_AT = re.compile(r" - at `\$\.?([^`]*)`")
_FIELD = re.compile(r"\b(?:applies|satisfied_by|monitor|slots)\.[a-z_.]*[a-z]|\b[a-z]+_[a-z_]+\b")


class Edition(Struct, frozen=True):
    """A rule with the code sets and analytes that it brings along."""

    rule: Rule
    sets: dict[str, CodeSet] = {}
    analytes: dict[str, Analyte] = {}


def version_name(n: int) -> str:
    """How the site's version number n is called in due rows and approvals."""
    return f"site.{n}"


# ---- reading ---------------------------------------------------------------------------------------------------


def parsed(text: str, version: str = "draft") -> Edition:
    """The edition a text means. Raises Invalid with an issue for everything that can be said, by field."""
    if len(text) > MOST_CHARACTERS:
        raise Invalid(f"A rule has at most {MOST_CHARACTERS:,} characters", at="text")
    try:
        body = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, ValueError) as error:
        raise Invalid(f"The text is not TOML: {error}", at="text") from None
    return edition_of(body, version)


def edition_of(body: Mapping[str, Any], version: str = "draft") -> Edition:
    """The edition that the tables of a text mean. Raises Invalid."""
    mine = {name: value for name, value in body.items() if name not in (*GIVEN, "sets", "analytes")}
    id = mine.get("id")
    if not isinstance(id, str) or not ID.fullmatch(id):
        raise Invalid(
            "id is a short name of small letters, digits and hyphens, such as blood-pressure", at="id"
        )
    rule = _read(mine | {"version": version, "review": "needed"}, Rule, id, "")
    sets = _named(body, "sets", CodeSet, id)
    analytes = _named(body, "analytes", Analyte, id)
    issues = [
        Issue("required", f"{id}: {name} must say something", name)
        for name in _SPOKEN
        if not getattr(rule, name).strip()
    ]
    if rule.date and not _is_day(rule.date):
        issues.append(Issue("value", f"{id}: date is a day such as 2026-11-18", "date"))
    if issues:
        raise Invalid(issues=issues)
    return Edition(rule, sets, analytes)


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _named(body: Mapping[str, Any], table: str, kind: type[Any], id: str) -> dict[str, Any]:
    held = body.get(table, {})
    if not isinstance(held, dict):
        raise Invalid(f"{id}: {table} holds tables such as [{table}.my-name]", at=table)
    return {name: _read(entry, kind, id, f"{table}.{name}") for name, entry in held.items()}


def _read(entry: Any, kind: type[Any], id: str, where: str) -> Any:
    try:
        return msgspec.convert(entry, kind, strict=False)
    except msgspec.ValidationError as error:
        at, words = _explained(str(error), kind, where)
        raise Invalid(f"{id}: {words}", at=at) from None


def _explained(error: str, kind: type[Any], where: str) -> tuple[str, str]:
    """(field, what is wrong with it) in words."""
    unknown, missing = _UNKNOWN.match(error), _MISSING.match(error)
    if unknown:
        path = _joined(where, unknown[2])
        if kind is CodeSet:
            return (
                path,
                f"{path} names the unknown code system {unknown[1]}: it is one of {', '.join(_SYSTEMS)}",
            )
        close = get_close_matches(unknown[1], _fields_of(kind), 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        return _joined(path, unknown[1]), f"there is no field {_joined(path, unknown[1])}{hint}"
    if missing:
        path = _joined(_joined(where, missing[2]), missing[1])
        return path, f"{path} is missing"
    found = _AT.search(error)
    path = _joined(where, found[1] if found else "")
    return path, f"{path or 'the text'}: {_AT.sub('', error).replace('`', '')}"


def _joined(*parts: str | None) -> str:
    return ".".join(re.sub(r"\[(\d+|\.\.\.)\]", "", part) for part in parts if part)


def _fields_of(kind: Any) -> list[str]:
    """The names of the fields of a struct and of those within it."""
    out: list[str] = []
    for name, hint in get_type_hints(kind).items():
        out.append(name)
        for inner in (hint, *getattr(hint, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, Struct) and inner is not kind:
                out += _fields_of(inner)
    return out


# ---- laying over -----------------------------------------------------------------------------------------------


def overlaid(pack: Pack, editions: Mapping[str, Edition], off: Collection[str] = ()) -> Pack:
    """The pack with the site's versions in the place of its own, further rules, and without those switched off.

    Raises Invalid naming every rule and field that does not fit; nothing is laid over by halves.
    """
    if not editions and not off:
        return pack
    made = _laid(pack, editions, off)
    issues = [*_clashes(pack, editions), *_wrong(made)]
    if issues:
        raise Invalid(issues=issues)
    return made


def fitting(
    pack: Pack, editions: Mapping[str, Edition], off: Collection[str] = ()
) -> tuple[Pack, dict[str, str]]:
    """The pack with as many of the site's decisions as still fit it, and why the others do not (rule -> why).

    A new pack in the box may lack what a site's rule names: such a rule is not used, and its page says so.
    """
    try:
        return overlaid(pack, editions, off), {}
    except Invalid:
        pass
    kept: dict[str, Edition] = {}
    out: list[str] = []
    why: dict[str, str] = {}
    waiting = [*editions, *off]
    while True:
        before = len(waiting)
        for id in list(waiting):
            more = {id: editions[id]} if id in editions else {}
            try:
                overlaid(pack, kept | more, [*out, *([] if more else [id])])
            except Invalid as wrong:
                why[id] = str(wrong)
                continue
            kept |= more
            out += [] if more else [id]
            waiting.remove(id)
        if len(waiting) in (0, before):
            return overlaid(pack, kept, out), {id: why[id] for id in waiting}


def _laid(pack: Pack, editions: Mapping[str, Edition], off: Collection[str]) -> Pack:
    kept = tuple(editions[r.id].rule if r.id in editions else r for r in pack.rules if r.id not in off)
    new = tuple(editions[id].rule for id in sorted(editions) if id not in pack.by_id and id not in off)
    sets, analytes = dict(pack.sets), dict(pack.analytes)
    for id in sorted(editions):
        sets |= editions[id].sets
        analytes |= editions[id].analytes
    said = msgspec.json.encode([[editions[id] for id in sorted(editions)], sorted(off)])
    return remade(
        pack, rules=kept + new, sets=sets, analytes=analytes, site=frozenset(editions), boxed=pack.hash,
        hash=hashlib.sha256(pack.hash.encode() + said).hexdigest(),
    )  # fmt: skip


def _clashes(pack: Pack, editions: Mapping[str, Edition]) -> Iterator[Issue]:
    """A name that something else has already would change other rules."""
    seen: dict[str, tuple[str, Any]] = {}
    for id, edition in editions.items():
        for table, held, known in (
            ("sets", edition.sets, pack.sets),
            ("analytes", edition.analytes, pack.analytes),
        ):
            for name, value in held.items():
                at = f"{table}.{name}"
                other = seen.setdefault(at, (id, value))
                if name in known:
                    yield Issue(
                        "value", f"{id}: {at} is a name that the pack has already: choose another", at
                    )
                elif other[1] != value:
                    yield Issue(
                        "value", f"{id}: {at} is defined otherwise in {other[0]}: choose another name", at
                    )


def _wrong(pack: Pack) -> Iterator[Issue]:
    for problem in shared_problems(pack):
        yield Issue(
            "value",
            problem.replace("analytes.toml: ", "analytes: ").replace("codes.toml: ", "sets: "),
            "text",
        )
    for rule in pack.rules:
        for problem in problems(pack, rule):
            found = _FIELD.search(problem)
            yield Issue("value", f"{rule.id}: {problem}", found[0] if found else "")
    for circle in circles(pack):
        yield Issue("value", f"{circle[0]}: hand_over goes in a circle: {' -> '.join(circle)}", "hand_over")


# ---- writing ---------------------------------------------------------------------------------------------------


def body_of(edition: Edition) -> dict[str, Any]:
    """The tables of an edition's text, in the order of the schema, without what is as it is by default."""
    body: dict[str, Any] = {name: value for name, value in _plain(edition.rule).items() if name not in GIVEN}
    for table, held in (("sets", edition.sets), ("analytes", edition.analytes)):
        if held:
            body[table] = {name: _plain(held[name]) for name in sorted(held)}
    return body


def _plain(value: Any) -> Any:
    if isinstance(value, Struct):
        return {
            one.encode_name: _plain(held)
            for one in fields(value)
            if (held := getattr(value, one.name)) != one.default
            and not (held in ({}, ()) and not one.required)
        }
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, dict) else value


def text_of(edition: Edition) -> str:
    """The text of an edition: `parsed(text_of(one))` is the same."""
    return "\n".join(_lines(body_of(edition), "")).strip() + "\n"


def _lines(body: Mapping[str, Any], path: str) -> Iterator[str]:
    tables = {name: value for name, value in body.items() if _is_table(value)}
    for name, value in body.items():
        if name not in tables:
            yield f"{_key(name)} = {_value(value)}"
    for name, value in tables.items():
        here = f"{path}.{_key(name)}" if path else _key(name)
        for one in value if isinstance(value, list) else [value]:
            yield ""
            yield f"[[{here}]]" if isinstance(value, list) else f"[{here}]"
            yield from _lines(one, here)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(_value(one) for one in value)}]"
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value) if isinstance(value, int) else _quoted(str(value))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\u{ord(found[0]):04x}", escaped) + '"'


# ---- comparing -------------------------------------------------------------------------------------------------


class Difference(Struct, frozen=True):
    """A field that is another: its path, and its value before and after, "" where it is not there."""

    field: str
    before: str
    after: str


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """What differs between two rules, as `body_of` gives them, in the order of the fields."""
    old, new = dict(_flat(before, "")), dict(_flat(after, ""))
    names = [*old, *(name for name in new if name not in old)]
    found = [Difference(name, old.get(name, ""), new.get(name, "")) for name in names]
    return [one for one in found if one.before != one.after]


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, held in value.items():
            yield from _flat(held, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for n, held in enumerate(value, 1):
            yield from _flat(held, f"{path} {n}")
    elif isinstance(value, list):
        yield path, ", ".join(str(one) for one in value)
    else:
        yield path, format(value, "f") if isinstance(value, Decimal) else str(value)
