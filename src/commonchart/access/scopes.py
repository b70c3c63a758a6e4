"""SMART scopes: what an app may do of what its user may do. Pure: text in, decisions out.

SMART App Launch 2.2 (https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html): `patient/Observation.rs`, letters
of `cruds` in this order, a search such as `?category=system|code` after them; version 1 writes `.read`, `.write`, `.*`.
Unknown scopes are dropped, never widened. Two scopes allow what either allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, quote

from msgspec import Struct
from msgspec.structs import replace

from commonchart.fhir.definitions import r4
from commonchart.search.visible import Only, Part, Visible

LETTERS = "cruds"
VERSION_1 = {"read": "rs", "write": "cud", "*": "cruds"}
# which letter an interaction of the policy needs
LETTER = {"read": "r", "history": "r", "search": "s", "create": "c", "update": "u", "delete": "d"}
IDENTITY = ("openid", "fhirUser", "profile")
LAUNCH = ("launch", "launch/patient", "launch/encounter")
LASTING = ("offline_access", "online_access")
SPECIAL = frozenset({*IDENTITY, *LAUNCH, *LASTING})
# elements of coded concepts that a scope may ask about
ELEMENTS = frozenset({"category", "code", "type"})
MAX_TEXT = 20_000

_SCOPE = re.compile(
    r"(patient|user|system)/(\*|[A-Z][A-Za-z]{1,63})\.(\*|read|write|c?r?u?d?s?)(?:\?(.{1,500}))?"
)
_CODE = re.compile(r"[!-+\--{}~]*\|?[!-+\--{}~]+")  # printable ASCII without , and |


class Scope(Struct, frozen=True):
    """One scope on resources. `rtype` "*" is every type; `letters` in the order of `cruds`; every one of `only` must hold."""

    context: str
    rtype: str
    letters: str
    only: Only = ()

    @property
    def text(self) -> str:
        """As version 2 writes it."""
        asked = "&".join(f"{name}={quote(','.join(values), safe=_PLAIN)}" for name, values in self.only)
        return f"{self.context}/{self.rtype}.{self.letters}{'?' if asked else ''}{asked}"


_PLAIN = ":/|,-._~"


def parse(text: str) -> Scope | None:
    """One scope on resources, None for one that is unknown, empty, or asks by what cannot be held."""
    found = _SCOPE.fullmatch(text)
    if found is None or not found[3]:
        return None
    context, rtype, letters, query = found.groups()
    if rtype != "*" and rtype not in r4().resource_types:
        return None
    letters = VERSION_1.get(letters, letters)
    if query is None:
        return Scope(context, rtype, letters)
    only = _only(query)
    return Scope(context, rtype, letters, only) if only and rtype != "*" else None


def _only(query: str) -> Only:
    """The restrictions of a query, () when any of them cannot be held."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, max_num_fields=8)
    except ValueError:
        return ()
    made = [(name, tuple(sorted(set(value.split(","))))) for name, value in pairs]
    if not all(name in ELEMENTS and all(map(_CODE.fullmatch, values)) for name, values in made):
        return ()
    return tuple(sorted(set(made)))


def split(text: str) -> tuple[str, ...]:
    """The scopes of a space-separated list, each once, in order; unknown ones dropped."""
    return tuple(
        dict.fromkeys(one for one in text[:MAX_TEXT].split() if one in SPECIAL or parse(one) is not None)
    )


def resources(texts: Iterable[str]) -> tuple[Scope, ...]:
    """Those that are about resources."""
    return tuple(found for found in map(parse, texts) if found is not None)


def covers(one: Scope, other: Scope) -> bool:
    """Whether everything that `other` allows is allowed by `one`."""
    return (
        one.context == other.context
        and one.rtype in ("*", other.rtype)
        and set(other.letters) <= set(one.letters)
        and all(any(n == m and set(w) <= set(v) for m, w in other.only) for n, v in one.only)
    )


def meet(one: Scope, other: Scope) -> Scope | None:
    """What both allow, None for nothing."""
    if one.context != other.context or (one.rtype != other.rtype and "*" not in (one.rtype, other.rtype)):
        return None
    letters = "".join(letter for letter in one.letters if letter in other.letters)
    if not letters:
        return None
    rtype = other.rtype if one.rtype == "*" else one.rtype
    return Scope(one.context, rtype, letters, tuple(sorted({*one.only, *other.only})))


def narrow(asked: Sequence[str], registered: Sequence[str], unticked: Iterable[str] = ()) -> tuple[str, ...]:
    """What an app gets that asks for `asked`: within what it is registered for, without what a person unticked.

    A scope keeps its spelling where all of it is granted; where only a part is, the parts are written in version 2.
    """
    left_out = set(unticked)
    known = resources(registered)
    out: list[str] = []
    for text in asked:
        wanted = parse(text)
        if wanted is None:
            out += [text] if text in SPECIAL and text in registered and text not in left_out else []
        elif any(covers(one, wanted) for one in known):
            out += [text] if text not in left_out else []
        else:
            parts = [part for part in (meet(wanted, one) for one in known) if part is not None]
            out += [part.text for part in parts if part.text not in left_out and text not in left_out]
    return tuple(dict.fromkeys(out))


def within(narrower: Sequence[str], wider: Sequence[str]) -> bool:
    """Whether nothing in `narrower` goes beyond `wider`: what may be asked for on a refresh."""
    known = resources(wider)
    return all(
        text in wider or any(covers(one, scope) for one in known if (scope := parse(text)) is not None)
        for text in narrower
    )


# ---- what is held ----------------------------------------------------------------------------------------------


@lru_cache(maxsize=2048)
def held(texts: frozenset[str]) -> tuple[Scope, ...]:
    """The scopes on resources of a token, in a fixed order."""
    return tuple(sorted(resources(texts), key=lambda one: one.text))


def allows(texts: frozenset[str], patient: str | None, action: str, rtype: str) -> bool:
    """Whether the scopes allow this interaction with any resource of this type at all."""
    return any(True for _ in _matching(texts, patient, LETTER[action], rtype))


def admits(
    texts: frozenset[str],
    patient: str | None,
    action: str,
    rtype: str,
    about: str | None,
    body: Mapping[str, Any],
) -> bool:
    """Whether the scopes allow this interaction with this very resource, which is about the patient `about`."""
    return any(
        (one.context != "patient" or about == patient) and fits(one.only, body)
        for one in _matching(texts, patient, LETTER[action], rtype)
    )


def of_anybody(texts: frozenset[str], rtype: str) -> bool:
    """Whether a scope lets this type be read of others than the patient in context."""
    return any(
        one.context != "patient" and one.rtype in ("*", rtype) and set("rs") & set(one.letters)
        for one in held(texts)
    )


def everybodys(texts: frozenset[str], rtype: str) -> bool:
    """Whether one scope lets all of this type be read and searched, of anybody and whatever its codes."""
    return any(
        one.context != "patient"
        and one.rtype in ("*", rtype)
        and {"r", "s"} <= set(one.letters)
        and not one.only
        for one in held(texts)
    )


def carried(rtype: str, then: frozenset[str], now: frozenset[str]) -> bool:
    """Whether what one token let be read of a type ("*": of every type), another lets be read as well."""
    asked = [
        replace(one, rtype=one.rtype if rtype == "*" else rtype, letters="r")
        for one in held(then)
        if "r" in one.letters and (rtype == "*" or one.rtype in ("*", rtype))
    ]
    return all(any(covers(other, one) for other in held(now)) for one in asked)


def whole(texts: frozenset[str], patient: str | None, rtype: str) -> bool:
    """Whether a scope lets this type be searched without asking for certain codes."""
    return any(not one.only for one in _matching(texts, patient, "s", rtype))


def _matching(texts: frozenset[str], patient: str | None, letter: str, rtype: str) -> Iterator[Scope]:
    for one in held(texts):
        if letter in one.letters and one.rtype in ("*", rtype) and (one.context != "patient" or patient):
            yield one


def fits(only: Only, body: Mapping[str, Any]) -> bool:
    """Whether a resource has one of the codes of each restriction."""
    return all(any(_coded(body.get(name), value) for value in values) for name, values in only)


def _coded(held: Any, value: str) -> bool:
    entries = held if isinstance(held, list) else [held]
    codings = [
        coding
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("coding"), list)
        for coding in entry["coding"]
        if isinstance(coding, dict) and isinstance(coding.get("code"), str)
    ]
    if "|" in value:
        return any(f"{coding.get('system') or ''}|{coding['code']}" == value for coding in codings)
    return any(coding["code"] == value for coding in codings)


def restrict(
    visible: Visible,
    scopes: frozenset[str],
    patient: str | None,
    *,
    letters: str = "s",
    shared: frozenset[str] = frozenset(),
) -> Visible:
    """What is left of what an actor may see when they ask through an app: never more than before.

    A `patient/` scope shows the patient in context, and of the `shared` types (practitioners, organisations) what the
    actor sees anyhow. `letters`: a row counts that any of them allows.
    """
    grouped: dict[tuple[str, Only], set[str]] = {}
    for one in held(scopes):
        if set(letters) & set(one.letters) and (one.context != "patient" or patient):
            grouped.setdefault((one.context, one.only), set()).add(one.rtype)
    parts = tuple(
        Part(
            None if "*" in types else frozenset(types),
            patient if context == "patient" else None,
            shared if context == "patient" else frozenset(),
            only,
        )
        for (context, only), types in sorted(grouped.items())
    )
    return replace(visible, within=parts)
