"""Whom a reminder may reach: decided when a campaign is begun and again at the moment of sending.

The classes and exclusions are those of the clinical corrections: rules of class *never* leave by no message, rules that
no clinician has reviewed do not enter, and nobody is contacted who has died, is in hospice, was merged into another
record, or whose pregnancy has just ended. What is left out always says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from msgspec import Struct

from commonchart.care.calendar import birthday
from commonchart.care.evidence import Evidence, Fact, first_day
from commonchart.care.facts import evidence
from commonchart.care.outreach import reach
from commonchart.care.outreach.reach import Point, Wishes
from commonchart.care.schema import Code, CodeSet, Pack

DUE = ("overdue", "due", "due-soon")
CONSENTED = frozenset({"sms", "voice"})
"""Channels that only those hear by who have asked for them (automated texts and calls)."""
SEALED = frozenset({"letter", "portal"})
"""Channels that only the person opens: the others carry no clinical detail."""
ADULT = 18
QUIET_AFTER_PREGNANCY = timedelta(days=84)
LONGEST_PREGNANCY = timedelta(days=315)

PREGNANCY = CodeSet(
    icd10=("Z33.1", "Z34", "O09"), sct=("77386006", "72892002", "47200007", "237238006", "16356006")
)
# a birth or a loss; ICD-10-CM by prefix
ENDED = CodeSet(
    icd10=("O00", "O01", "O02", "O03", "O04", "O07", "O08", "O36.4", "O80", "O82", "Z33.2", "Z37", "Z39"),
    sct=(
        "17369002",
        "19169002",
        "276507005",
        "156072005",
        "285416002",
        "237364002",
        "34801009",
        "386639001",
        "281050002",
        "169826009",
        "3950001",
        "236973005",
    ),
)
_PREGNANT_WORDS = ("pregnan", "prenatal", "antenatal", "gestation")


class Reminder(Struct, frozen=True):
    """One due row as outreach needs it. `outreach` is never, generic or detail; `pregnancy`: it is about one.

    `current`: the row was worked out with the version of the rule that is used now.
    """

    rule: str
    title: str
    status: str
    outreach: str
    reviewed: bool
    pregnancy: bool = False
    current: bool = True


class Known(Struct, frozen=True):
    """What is known of a person: every linked Patient (the one selected first), their facts, and what was sent lately.

    `survivor` is the record that a merge has kept, "" without one; `last_contact` the last reminder by any channel.
    """

    patients: tuple[Mapping[str, Any], ...]
    facts: Evidence
    reminders: tuple[Reminder, ...]
    survivor: str = ""
    last_contact: datetime | None = None
    portal: bool = False

    @property
    def patient(self) -> Mapping[str, Any]:
        """The record that was selected."""
        return self.patients[0]


class Contact(Struct, frozen=True):
    """Somebody who may be contacted. `details` are the titles that may be named, () when only a general text may go."""

    point: Point
    language: str
    level: str
    rules: tuple[str, ...]
    details: tuple[str, ...] = ()
    minor: bool = False


class LeftOut(Struct, frozen=True):
    """Somebody who may not, and why in words."""

    why: str


def reminder(
    rule: str,
    title: str,
    status: str,
    why: Mapping[str, Any],
    pack: Pack,
    *,
    approved: bool = False,
    current: bool = True,
) -> Reminder:
    """A due row as outreach reads it. What the row does not say counts as never and as not reviewed.

    `approved`: a clinician of the site stands behind this version of the rule.
    """
    return Reminder(
        rule, title, status, str(why.get("outreach") or "never"), approved or why.get("review") == "reviewed",
        about_pregnancy(rule, title, pack), current,
    )  # fmt: skip


def about_pregnancy(rule: str, title: str, pack: Pack) -> bool:
    """Whether a rule is for people who are pregnant: by its conditions, else by its name."""
    known = next((one for one in pack.rules if one.id == rule), None)
    if known is not None and known.applies.pregnancy in ("pregnant", "postpartum", "either"):
        return True
    names = [rule, title, *(known.applies.conditions if known else ())]
    return any(word in name.lower() for name in names for word in _PREGNANT_WORDS)


def decide(
    known: Known,
    channel: str,
    pack: Pack,
    now: datetime,
    day: date,
    *,
    gap_days: int,
    default_language: str = "en",
) -> Contact | LeftOut:
    """Whether and how this person may be contacted. `day` is the day at the site, `now` the moment."""
    wanted = reach.wishes(known.patients)
    why = (
        _person(known, pack)
        or _wishes(wanted, channel)
        or _lately(known, now, gap_days)
        or _after_pregnancy(known, day)
    )
    if why:
        return LeftOut(why)
    open_rules, why = _rules(known, day)
    if not open_rules:
        return LeftOut(why)
    where, why = reach.point(known.patient, channel, day)
    if where is None:
        return LeftOut(why)
    if channel == "portal" and not known.portal:
        return LeftOut("has no portal account")
    minor = _minor(known.patient, day)
    named = channel in SEALED and not where.confidential and not minor
    details = tuple(one.title for one in open_rules if one.outreach == "detail") if named else ()
    return Contact(
        where, reach.language(known.patient, default_language), wanted.level, tuple(r.rule for r in open_rules),
        details, minor,
    )  # fmt: skip


def reachable(known: Known, channel: str, day: date, *, default_language: str = "en") -> Contact | LeftOut:
    """Whether and how this person may be told that a result is there: a general text only, whatever the channel.

    It is no reminder: nothing has to be due, hospice does not stop it, and it may follow another one closely.
    """
    wanted = reach.wishes(known.patients)
    dead = "has died" if any(_dead(patient) for patient in known.patients) else ""
    merged = "this record was merged into another one" if _merged(known) else ""
    if why := dead or merged or _wishes(wanted, channel) or _after_pregnancy(known, day):
        return LeftOut(why)
    where, why = reach.point(known.patient, channel, day)
    if where is None:
        return LeftOut(why)
    if channel == "portal" and not known.portal:
        return LeftOut("has no portal account")
    return Contact(
        where,
        reach.language(known.patient, default_language),
        wanted.level,
        (),
        (),
        _minor(known.patient, day),
    )


# ---- the person ------------------------------------------------------------------------------------------------


def _person(known: Known, pack: Pack) -> str:
    if any(_dead(patient) for patient in known.patients):
        return "has died"
    if in_hospice(known.facts, pack):
        return "is in hospice or palliative care"
    if _merged(known):
        return "this record was merged into another one"
    return ""


def _dead(patient: Mapping[str, Any]) -> bool:
    """Any word of a death counts, one with a date that cannot be right included."""
    return patient.get("deceasedBoolean") is True or bool(patient.get("deceasedDateTime"))


def in_hospice(facts: Evidence, pack: Pack) -> bool:
    """Whether anything of the pack's exclusions everywhere (hospice, palliative care) is recorded."""
    return any(
        pack.holds(name, fact.codes)
        for name in pack.everywhere
        for fact in facts.of("condition", "service", "procedure")
        if fact.unusable != "entered in error" and fact.active
    )


def _merged(known: Known) -> bool:
    patient = known.patient
    replaced = any(link.get("type") == "replaced-by" for link in patient.get("link") or ())
    other = bool(known.survivor) and known.survivor != patient.get("id")
    return replaced or other or patient.get("active") is False


def _wishes(wanted: Wishes, channel: str) -> str:
    if "all" in wanted.opted_out:
        return "asked not to be reminded"
    if wanted.refuses(channel):
        return "asked not to be contacted this way"
    if channel in CONSENTED and channel not in wanted.opted_in:
        return "has not agreed to automated texts or calls"
    if wanted.preferred and wanted.preferred != channel:
        return f"prefers to be contacted by {WORDS.get(wanted.preferred, wanted.preferred)}"
    return ""


WORDS = {
    "letter": "letter",
    "email": "e-mail",
    "sms": "text message",
    "voice": "phone call",
    "portal": "portal message",
}


def _lately(known: Known, now: datetime, gap_days: int) -> str:
    last = known.last_contact
    if last is not None and last > now - timedelta(days=gap_days):
        return f"was contacted less than {gap_days} days ago"
    return ""


def _minor(patient: Mapping[str, Any], day: date) -> bool:
    """Under age, or of unknown age: then nothing is named in a letter that others open."""
    born = first_day(patient.get("birthDate"))
    return born is None or birthday(born, ADULT) > day


# ---- the rules -------------------------------------------------------------------------------------------------


def _rules(known: Known, day: date) -> tuple[list[Reminder], str]:
    """The reminders that may be sent, else why none may."""
    reasons: list[str] = []
    kept: list[Reminder] = []
    for one in known.reminders:
        why = _rule(one, known, day)
        if why:
            reasons.append(why)
        else:
            kept.append(one)
    return kept, next((why for why in _BY_WEIGHT if why in reasons), "nothing is due any more")


NEVER = "what is due is of a kind that no message may mention"
UNREVIEWED = "the rule has not been reviewed by a clinician"
NO_PREGNANCY = "no pregnancy is known to go on"
CHANGED = "the rule has been changed: who is due is being worked out again"
CANNOT_TELL = "it cannot be told whether anything is due: ask first"
_BY_WEIGHT = (NEVER, UNREVIEWED, CHANGED, NO_PREGNANCY, CANNOT_TELL)


def _rule(one: Reminder, known: Known, day: date) -> str:
    if one.status == "cannot-tell":
        return CANNOT_TELL
    if one.status not in DUE:
        return "nothing is due any more"
    if one.outreach not in ("generic", "detail"):
        return NEVER
    if not one.reviewed:
        return UNREVIEWED
    if not one.current:
        return CHANGED
    if one.pregnancy and not pregnant(known.facts, day):
        return NO_PREGNANCY
    return ""


# ---- pregnancy -------------------------------------------------------------------------------------------------


def _in(held: CodeSet, codes: frozenset[Code]) -> bool:
    """Whether any of these codes is in a set; ICD-10-CM by prefix."""
    icd10 = tuple(one.replace(".", "") for one in held.icd10)
    return any(
        code.replace(".", "").upper().startswith(icd10)
        if system == "icd10"
        else system == "sct" and code in held.sct
        for system, code in codes
    )


def pregnant(facts: Evidence, day: date) -> bool:
    """Whether a pregnancy is known to go on: begun within 45 weeks, active, and nothing has ended it since."""
    begun = [
        fact
        for fact in facts.of("condition")
        if _in(PREGNANCY, fact.codes) and not fact.unusable and fact.active and fact.ended is None
    ]
    days = [fact.day for fact in begun if fact.day is not None and day - LONGEST_PREGNANCY <= fact.day <= day]
    ends = [end for end in _ends(facts) if end <= day]
    return bool(days) and not any(end >= min(days) for end in ends)


def _ends(facts: Evidence) -> list[date]:
    """Every day on which a birth, a loss or the end of a pregnancy is recorded."""
    out = [
        fact.day
        for fact in facts.of("condition", "procedure", "observation", "service")
        if _in(ENDED, fact.codes) and fact.unusable != "entered in error"
    ]
    out += [_over(fact) for fact in facts.of("condition") if _in(PREGNANCY, fact.codes)]
    return [day for day in out if day is not None]


def _over(fact: Fact) -> date | None:
    """When a recorded pregnancy ended; one that is over without a date may have lasted as long as any."""
    if fact.unusable == "entered in error":
        return None
    if fact.ended is not None or fact.active or fact.day is None:
        return fact.ended
    return fact.day + LONGEST_PREGNANCY


def _after_pregnancy(known: Known, day: date) -> str:
    if any(day - QUIET_AFTER_PREGNANCY <= end for end in _ends(known.facts)):
        return "a pregnancy has ended lately: contact in person"
    return ""


def known_of(
    patients: Sequence[Mapping[str, Any]],
    resources: Iterable[dict[str, Any]],
    reminders: Iterable[Reminder],
    *,
    survivor: str = "",
    last_contact: datetime | None = None,
    portal: bool = False,
) -> Known:
    """What `decide` needs, from resources of all linked records; the selected Patient comes first."""
    return Known(tuple(patients), evidence(resources), tuple(reminders), survivor, last_contact, portal)
