"""A Consent in words: who, what, for what, until when, and what state it is in. Pure.

The words follow the provisions as they are written; whether they count and what they decide is `access.consent`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from msgspec import Struct

from commonchart.access.consent import APPS, LOGICAL, read
from commonchart.care.labels import labels, names, security_mask
from commonchart.web.forms.consents import ENDED, GIVEN, HOW, NOTICE, PARTS, ROLE_NAMES
from commonchart.web.present import codes, dates
from commonchart.web.present.tables import Fact

Names = Mapping[str, str]
PURPOSE = {
    "TREAT": "treatment", "HPAYMT": "payment", "HOPERAT": "operations", "HRESCH": "research", "ETREAT": "emergency treatment",
    "PUBHLTH": "public health", "PATRQT": "the patient's own request", "BTG": "break-glass", "COC": "coordination of care",
}  # fmt: skip
_CLASSES = {code: title.lower() for title, held in PARTS.values() for code in held}


class Said(Struct, frozen=True):
    """One provision in words; `inside` are its exceptions, which go before it."""

    permit: bool | None
    who: str
    what: str
    purpose: str
    when: str
    inside: tuple[Said, ...] = ()

    @property
    def words(self) -> str:
        """The whole of it in one sentence."""
        verb = "permits" if self.permit else "denies"
        rest = "".join(f", {part}" for part in (self.purpose, self.when) if part)
        return (
            f"{verb} {self.who} to see {self.what}{rest}"
            if self.permit
            else f"{verb} {self.who} {self.what}{rest}"
        )

    @property
    def sentence(self) -> str:
        """The same as a heading."""
        return self.words[:1].upper() + self.words[1:]


class Line(Struct, frozen=True):
    """One consent as the list shows it. `problem` says why it could not be understood, `state` is one of STATES."""

    fact: Fact
    state: str
    tone: str
    said: tuple[Said, ...]
    problem: str
    given: str
    source: str
    source_href: str
    ended: str
    part2: bool
    notice: str = ""


STATES = {
    "active": ("In force", "done"), "inactive": ("Withdrawn", "not"), "over": ("Over", "not"), "ahead": ("Not yet", "soon"),
    "foreign": ("Does not count", "quar"), "unread": ("Not understood", "overdue"), "entered-in-error": ("Entered in error", "quar"),
    "rejected": ("Refused by the patient", "not"), "draft": ("Draft", "unknown"), "proposed": ("Proposed", "unknown"),
}  # fmt: skip


def line(fact: Fact, lookup: Names, counting: Iterable[str], today: date) -> Line:
    """A Consent for the list. `counting` are the ids whose provisions the engine has."""
    body = fact.body
    found = read(body)
    state = _state(body, found.problem, fact.id in set(counting), bool(found.rules), today)
    how = next(
        (str(one.get("valueCode")) for one in body.get("extension") or () if one.get("url") == GIVEN), ""
    )
    ended = next(
        (str(one.get("valueString")) for one in body.get("extension") or () if one.get("url") == ENDED), ""
    )
    part2 = "part2" in names(security_mask(_category_codings(body)))
    source, href = _source(body, lookup)
    return Line(
        fact, *STATES.get(state, (state.replace("-", " ").capitalize(), "unknown")), () if found.problem else said(body, lookup),
        found.problem, ", ".join(part for part in (HOW.get(how, "").lower(), dates.day(body.get("dateTime"))) if part) or codes.NOT_RECORDED,
        source, href, ended, part2, NOTICE if part2 else "",
    )  # fmt: skip


def _state(body: dict[str, Any], problem: str, counts: bool, says: bool, today: date) -> str:
    status = str(body.get("status", ""))
    if status != "active":
        return status
    if problem:
        return "unread" if counts else "foreign"
    if says and not counts:
        return "foreign"
    period = (body.get("provision") or {}).get("period") or {}
    end, start = dates.first_day(period.get("end")), dates.first_day(period.get("start"))
    if end is not None and len(str(period.get("end"))) >= 10 and end < today:
        return "over"
    return "ahead" if start is not None and start > today else "active"


def _category_codings(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for concept in body.get("category") or () for one in concept.get("coding") or ()]


def _source(body: dict[str, Any], lookup: Names) -> tuple[str, str]:
    """(words, address in the chart) of the document behind it."""
    target = str((body.get("sourceReference") or {}).get("reference", ""))
    if target:
        known = target.startswith("DocumentReference/")
        return lookup.get(target) or "A document of this chart", f"documents/{target}" if known else ""
    title = (body.get("sourceAttachment") or {}).get("title")
    return (f"Paper: {title}", "") if title else ("None recorded", "")


def said(body: dict[str, Any], lookup: Names) -> tuple[Said, ...]:
    """The provisions in words, from outside in."""
    root = body.get("provision") or {}
    policy = {str(one.get("code")) for one in (body.get("policyRule") or {}).get("coding") or ()}
    default = (
        None if root.get("type") else True if "OPTIN" in policy else False if "OPTOUT" in policy else None
    )
    if not root and default is None:
        return ()
    made = _provision(root, lookup, default)
    return (made,) if made.permit is not None else tuple(_beneath(made))


def _provision(one: dict[str, Any], lookup: Names, default: bool | None = None, above: str = "") -> Said:
    """`above` is whom the provision outside is about, and so this one where it names nobody."""
    permit = {"permit": True, "deny": False}.get(str(one.get("type")), default)
    return Said(
        permit, _who(one.get("actor") or (), lookup, above), _what(one), _purposes(one.get("purpose") or ()), _when(one),
        tuple(_provision(child, lookup, above=_who(one.get("actor") or (), lookup, above)) for child in one.get("provision") or ()),
    )  # fmt: skip


def _beneath(outer: Said) -> Iterable[Said]:
    """Provisions inside one that says nothing itself: with what it asks."""
    for one in outer.inside:
        who = (
            one.who
            if outer.who == ANYBODY
            else f"{one.who} of {outer.who}"
            if one.who != ANYBODY
            else outer.who
        )
        yield Said(
            one.permit, who, one.what, one.purpose or outer.purpose, one.when or outer.when, one.inside
        )


ANYBODY = "anybody"


def _who(actors: Iterable[dict[str, Any]], lookup: Names, above: str = "") -> str:
    found = [_called(one.get("reference") or {}, lookup) for one in actors]
    return ", ".join(found) or above or ANYBODY


def _called(reference: dict[str, Any], lookup: Names) -> str:
    named = reference.get("identifier") or {}
    if "reference" not in reference and named.get("system") in LOGICAL:
        value = str(named.get("value"))
        if named["system"] == APPS:
            return f"the app {lookup.get(f'App/{value}', value)}"
        return ROLE_NAMES.get(value, value).lower()
    target = str(reference.get("reference", ""))
    return lookup.get(target) or str(reference.get("display") or target or "somebody who is not named")


def _what(one: dict[str, Any]) -> str:
    parts: list[str] = []
    classes = [_CLASSES.get(str(c.get("code")), str(c.get("code"))) for c in one.get("class") or ()]
    if classes:
        parts.append(" and ".join(dict.fromkeys(classes)))
    held = names(security_mask(one.get("securityLabel") or ()))
    if held:
        parts.append(f"what is labelled {' or '.join(labels()[name].title for name in held)}")
    if one.get("code"):
        parts.append(f"what is coded {codes.concepts(one['code'])}")
    if one.get("data"):
        parts.append(f"{len(one['data'])} single {'entry' if len(one['data']) == 1 else 'entries'}")
    if one.get("dataPeriod"):
        parts.append(f"of {dates.period(one['dataPeriod'])}")
    return ", ".join(parts) or "everything"


def _purposes(purposes: Iterable[dict[str, Any]]) -> str:
    found = [PURPOSE.get(str(one.get("code")), str(one.get("code"))) for one in purposes]
    return f"for {', '.join(found)}" if found else ""


def _when(one: dict[str, Any]) -> str:
    return dates.period(one.get("period"))


def purpose_options() -> list[tuple[str, str]]:
    """Purposes of use as one chooses them for a look: (code, words)."""
    return [
        (code, words.capitalize())
        for code, words in PURPOSE.items()
        if code in ("TREAT", "HPAYMT", "HOPERAT", "HRESCH")
    ]
