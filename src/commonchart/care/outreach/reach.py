"""How a person may be reached, from their Patient resources: addresses in use, confidential ones, what they asked for.

Confidential addresses (45 CFR 164.522(b)): whoever has named one is reached there and nowhere else. An address or
number is confidential by the extension `CONFIDENTIAL`, or by the ISO 21090 address use `CONF`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Literal

from msgspec import Struct

from commonchart.care.evidence import first_day
from commonchart.fhir import dates
from commonchart.fhir.outcome import Invalid

Channel = Literal["letter", "email", "sms", "voice", "portal"]
CHANNELS: tuple[Channel, ...] = ("letter", "email", "sms", "voice", "portal")
PREFERENCE = "http://commonchart.org/StructureDefinition/contact-preference"
CONFIDENTIAL = "http://commonchart.org/StructureDefinition/confidential"
ISO_USE = (
    "http://hl7.org/fhir/StructureDefinition/iso21090-AD-use",
    "http://hl7.org/fhir/StructureDefinition/iso21090-TEL-use",
)
UNUSABLE_USES = frozenset({"old", "billing"})
_SYSTEMS: Mapping[str, tuple[str, ...]] = {"email": ("email",), "sms": ("sms", "phone"), "voice": ("phone",)}
_RANK = {"mobile": 0, "home": 1, "temp": 1, "": 2, "work": 3}


class Wishes(Struct, frozen=True):
    """What a person asked for. `preferred` "" for nothing said; `opted_out` holds channels, or `all`."""

    preferred: str = ""
    opted_in: frozenset[str] = frozenset()
    opted_out: frozenset[str] = frozenset()
    level: str = ""

    def refuses(self, channel: str) -> bool:
        """Whether they do not want to be contacted this way."""
        return bool({"all", channel} & self.opted_out)


class Point(Struct, frozen=True):
    """Where something is sent: the lines of a postal address, or one e-mail address or number."""

    lines: tuple[str, ...]
    confidential: bool = False


def wishes(patients: Iterable[Mapping[str, Any]]) -> Wishes:
    """The wishes over all records of a person, the first record first: whoever opted out in one has opted out."""
    preferred, level = "", ""
    opted_in: set[str] = set()
    opted_out: set[str] = set()
    for patient in patients:
        for name, code in _said(patient):
            if name == "opt-in":
                opted_in.add(code)
            elif name == "opt-out":
                opted_out.add(code)
            elif name == "preferred":
                preferred = preferred or code
            elif name == "reading-level":
                level = level or code
    return Wishes(preferred, frozenset(opted_in), frozenset(opted_out), level)


def _said(patient: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for extension in patient.get("extension") or ():
        if extension.get("url") == PREFERENCE:
            for part in extension.get("extension") or ():
                yield str(part.get("url")), str(part.get("valueCode", ""))


def with_wishes(patient: Mapping[str, Any], wanted: Wishes) -> dict[str, Any]:
    """The Patient with these wishes in place of those it had."""
    parts: list[dict[str, Any]] = [{"url": "opt-in", "valueCode": code} for code in sorted(wanted.opted_in)]
    parts += [{"url": "opt-out", "valueCode": code} for code in sorted(wanted.opted_out)]
    parts += [
        {"url": name, "valueCode": code}
        for name, code in (("preferred", wanted.preferred), ("reading-level", wanted.level))
        if code
    ]
    kept = [one for one in patient.get("extension") or () if one.get("url") != PREFERENCE]
    extensions = kept + ([{"url": PREFERENCE, "extension": parts}] if parts else [])
    bare = {name: value for name, value in patient.items() if name != "extension"}
    return bare | ({"extension": extensions} if extensions else {})


def language(patient: Mapping[str, Any], default: str = "en") -> str:
    """The language to write in, as a primary tag such as `es`: the preferred one, else the first, else `default`."""
    spoken = [one for one in patient.get("communication") or () if isinstance(one, dict)]
    spoken.sort(key=lambda one: one.get("preferred") is not True)
    for one in spoken:
        for coding in (one.get("language") or {}).get("coding") or ():
            if coding.get("code"):
                return str(coding["code"]).partition("-")[0].lower()
    return default


def point(patient: Mapping[str, Any], channel: str, day: date) -> tuple[Point | None, str]:
    """Where to reach somebody by this channel on a day, else None and why not.

    Once any address or number is confidential, only confidential ones are used, by whatever channel.
    """
    if channel == "portal":
        return Point(("portal",)), ""
    found = addresses(patient, day) if channel == "letter" else numbers(patient, channel, day)
    if keeps_confidential(patient, day):
        found = [one for one in found if one.confidential]
        if not found:
            return None, "asked to be reached at a confidential address only, which this channel is not"
    if not found:
        return None, _MISSING[channel]
    return found[0], ""


_MISSING = {
    "letter": "no complete postal address in use",
    "email": "no e-mail address in use",
    "sms": "no phone number for texts in use",
    "voice": "no phone number in use",
}


def keeps_confidential(patient: Mapping[str, Any], day: date) -> bool:
    """Whether any address or number in use is marked confidential."""
    every = [*(patient.get("address") or ()), *(patient.get("telecom") or ())]
    return any(_confidential(one) for one in every if in_use(one, day))


def addresses(patient: Mapping[str, Any], day: date) -> list[Point]:
    """Complete postal addresses in use, a temporary one first, then home."""
    order = {"temp": 0, "home": 1, "": 2, "work": 3}
    found = [one for one in patient.get("address") or () if in_use(one, day) and _complete(one)]
    found.sort(key=lambda one: order.get(one.get("use", ""), 2))
    return [Point(_lines(one), _confidential(one)) for one in found]


def numbers(patient: Mapping[str, Any], channel: str, day: date) -> list[Point]:
    """E-mail addresses or phone numbers in use, by rank, then mobile before home before work."""
    found = [
        one
        for one in patient.get("telecom") or ()
        if one.get("system") in _SYSTEMS[channel] and _plain(one.get("value"), channel) and in_use(one, day)
    ]
    found.sort(
        key=lambda one: (
            one.get("rank", 99), _SYSTEMS[channel].index(one["system"]), _RANK.get(one.get("use", ""), 2)
        )
    )  # fmt: skip
    return [Point((str(one["value"]).strip(),), _confidential(one)) for one in found]


def _plain(value: Any, channel: str) -> bool:
    """Something that can be an address: a line break in an e-mail address would be a header of its own."""
    text = value.strip() if isinstance(value, str) else ""
    if not text or not text.isprintable():
        return False
    if channel == "email":
        local, at, host = text.rpartition("@")
        return bool(local and at and host) and text.isascii() and not set(text) & set(' ,;<>"()')
    return sum(char.isdigit() for char in text) >= 5


def in_use(one: Mapping[str, Any], day: date) -> bool:
    """Whether an address or number is meant for this day: not old, not for bills, and its period holds the day."""
    if one.get("use", "") in UNUSABLE_USES or "BAD" in _iso_uses(one):
        return False
    period = one.get("period") or {}
    start, end = first_day(period.get("start")), _last_day(period.get("end"))
    if period.get("end") and end is None:
        return False
    return (start is None or start <= day) and (end is None or day <= end)


def _last_day(text: Any) -> date | None:
    try:
        moment = dates.bounds(text)[1] if isinstance(text, str) else None
    except Invalid:
        return None
    if moment is None:
        return None
    last = moment.date()
    return last if moment.time().isoformat() != "00:00:00" else date.fromordinal(last.toordinal() - 1)


def _iso_uses(one: Mapping[str, Any]) -> set[str]:
    return {str(x.get("valueCode", "")) for x in one.get("extension") or () if x.get("url") in ISO_USE}


def _confidential(one: Mapping[str, Any]) -> bool:
    marked = any(
        x.get("url") == CONFIDENTIAL and x.get("valueBoolean") is True for x in one.get("extension") or ()
    )
    return marked or "CONF" in _iso_uses(one)


def _complete(one: Mapping[str, Any]) -> bool:
    if one.get("type") == "physical":
        return False
    street = [line for line in one.get("line") or () if isinstance(line, str) and line.strip()]
    return bool(street and one.get("city") and (one.get("postalCode") or one.get("country")))


def _lines(one: Mapping[str, Any]) -> tuple[str, ...]:
    street = [line.strip() for line in one["line"] if isinstance(line, str) and line.strip()]
    place = ", ".join(filter(None, (one.get("city"), one.get("state"))))
    return tuple(
        filter(None, (*street, f"{place} {one.get('postalCode', '')}".strip(), one.get("country", "")))
    )


def given(patient: Mapping[str, Any]) -> str:
    """The first given name in use, "" where none is recorded."""
    return next((str(part) for part in _name(patient).get("given") or () if part), "")


def full_name(patient: Mapping[str, Any]) -> str:
    """Given and family names in use as they are written on an envelope, "" where none is recorded."""
    name = _name(patient)
    parts: Sequence[str] = [str(part) for part in (*(name.get("given") or ()), name.get("family")) if part]
    return " ".join(parts) or str(name.get("text") or "")


def _name(patient: Mapping[str, Any]) -> Mapping[str, Any]:
    order = {"official": 0, "usual": 1, "nickname": 3, "temp": 4, "anonymous": 8, "maiden": 8, "old": 9}
    names = [one for one in patient.get("name") or () if isinstance(one, dict)]
    return min(names, key=lambda one: order.get(one.get("use", ""), 2), default={})
