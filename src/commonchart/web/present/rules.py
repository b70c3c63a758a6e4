"""Rules as pages show them: the library's rows and filters, states in words, the versions, what a preview found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from commonchart.access.rule_previews import Summary
from commonchart.access.rules import Entry, Sheet
from commonchart.care.editions import Difference
from commonchart.care.review import Approval
from commonchart.record.rules import BOX, OFF, SITE, Choice, Signed, Use, Version
from commonchart.web.present import dates
from commonchart.web.present.due import STATUSES
from commonchart.web.present.zone import Zone

KINDS = {"preventive": "Prevention", "monitoring": "Monitoring", "visit": "Visits"}
STATES = {"box": "as in the box", "site": "changed by this site", "off": "not used"}
REVIEWS = {"reviewed": "Read in its source", "approved": "Approved here", "needed": "Not reviewed"}
SHOWN = ("overdue", "due", "due-soon", "cannot-tell", "up-to-date")


class Filter(Struct, frozen=True):
    """What the library is narrowed to."""

    text: str = ""
    kind: str = ""
    authority: str = ""
    review: str = ""
    state: str = ""


class Line(Struct, frozen=True):
    """One rule of the library; `cells` are (status, how many, address)."""

    id: str
    title: str
    kind: str
    authority: str
    review: str
    unreviewed: bool
    state: str
    note: str
    cells: tuple[tuple[str, int, str], ...]


def fits(one: Entry, wanted: Filter) -> bool:
    """Whether a rule is among those that are asked for."""
    rule = one.rule
    heap = f"{rule.id} {rule.title} {rule.states} {rule.authority} {rule.source}".lower()
    return (
        all(word in heap for word in wanted.text.lower().split()[:8])
        and wanted.kind in ("", rule.kind)
        and (not wanted.authority or wanted.authority.lower() in rule.authority.lower())
        and wanted.review in ("", one.standing)
        and (wanted.state in ("", one.state) or (wanted.state == "draft" and bool(one.draft)))
    )


def line(one: Entry, zone: Zone) -> Line:
    """A rule as a row."""
    rule = one.rule
    notes = [
        f"draft {one.draft} waits" if one.draft else "",
        "NOT USED: it does not fit the pack any more" if one.unused else "",
    ]
    return Line(
        rule.id, rule.title, KINDS[rule.kind], rule.authority + (f", {rule.grade}" if rule.grade else ""),
        standing_words(one.standing, one.approval, zone), one.standing == "needed", STATES[one.state],
        "; ".join(note for note in notes if note),
        tuple((name, one.counts.get(name, 0), f"/registry?rule={rule.id}&status={name}") for name in SHOWN),
    )  # fmt: skip


def standing_words(standing: str, approval: Approval | None, zone: Zone) -> str:
    """The review state in words, with who approved it and when."""
    if approval is not None and standing == "approved":
        return f"approved by {approval.by} on {zone.on(approval.at)}"
    return REVIEWS[standing].lower()


def authorities(entries: Iterable[Entry]) -> list[str]:
    """The authorities named, each once."""
    return sorted(
        {
            part.strip()
            for one in entries
            for part in one.rule.authority.replace("/", ",").split(",")
            if part.strip()
        }
    )


# ---- one rule --------------------------------------------------------------------------------------------------


class Step(Struct, frozen=True):
    """A version as the history shows it. `to` is what a page's address calls it; `used` says how it stands."""

    to: str
    name: str
    who: str
    when: str
    why: str
    used: str
    current: bool


def unsaid(changes: Sequence[Difference]) -> bool:
    """Whether the rule does something else while the sentence that says so is as it was."""
    names = {one.field for one in changes}
    worded = {"title", "plain", "authority", "source", "grade", "date", "question", "outreach", "rows"}
    return bool(names - worded) and "states" not in names


def choice_of(text: str) -> Choice | None:
    """A choice from an address: `site.3`, `box`, `off`; None for anything else."""
    if text in (BOX, OFF):
        return Choice(text)
    number = text.removeprefix("site.")
    if text.startswith("site.") and number.isascii() and number.isdigit() and len(number) < 6:
        return Choice(SITE, int(number))
    return None


def address_of(choice: Choice) -> str:
    """A choice as an address has it."""
    return f"site.{choice.n}" if choice.state == SITE else choice.state


def choice_words(choice: Choice) -> str:
    """A choice in words."""
    return {SITE: f"version {choice.n} of this site", BOX: "the version in the box", OFF: "not used at all"}[
        choice.state
    ]


def steps(sheet: Sheet, zone: Zone) -> list[Step]:
    """Every version of the rule, the newest first, the one in the box last."""
    now = sheet.uses[0] if sheet.uses else None
    out = [_step(one, now, sheet, zone) for one in sheet.versions]
    if sheet.boxed is not None:
        current = now is None or now.state == BOX
        out.append(
            Step(BOX, f"in the box, version {sheet.boxed.version}", sheet.boxed.authority, dates.day(sheet.boxed.date) or sheet.boxed.date, sheet.boxed.source,
                 "in use" if current else _was(sheet.uses, BOX, 0, zone) or "not in use", current)
        )  # fmt: skip
    return out


def _step(one: Version, now: Use | None, sheet: Sheet, zone: Zone) -> Step:
    current = now is not None and (now.state, now.n) == (SITE, one.n)
    used = (
        f"in use since {zone.stamp(now.at)}"
        if current and now
        else _was(sheet.uses, SITE, one.n, zone) or "draft, never used"
    )
    based = f" (from {one.based_on})" if one.based_on else ""
    return Step(one.name, one.name, one.author_name, zone.stamp(one.at), one.why + based, used, current)


def _was(uses: Sequence[Use], state: str, n: int, zone: Zone) -> str:
    return next(
        (f"was used from {zone.stamp(one.at)}" for one in uses if (one.state, one.n) == (state, n)), ""
    )


def decisions(uses: Iterable[Use], zone: Zone) -> list[tuple[str, str, str, str]]:
    """(when, what, who, why) of each decision about what is used, the latest first."""
    return [
        (zone.stamp(one.at), choice_words(Choice(one.state, one.n)), one.actor_name, one.why) for one in uses
    ]


# ---- previews --------------------------------------------------------------------------------------------------

_SENTENCES = {
    "more": ("more becomes due or overdue", "more become due or overdue"),
    "fewer": ("is no longer due", "are no longer due"),
    "unknown": ("becomes cannot tell", "become cannot tell"),
    "known": ("is no longer cannot tell", "are no longer cannot tell"),
    "dates": ("keeps the status from another day on", "keep their status from another day on"),
}


def findings(found: Summary) -> list[tuple[str, int, str]]:
    """(group, how many, in words) of the ways in which people would change."""
    out = []
    for group, (one, many) in _SENTENCES.items():
        n = getattr(found, group)
        out.append((group, n, one if n == 1 else many))
    return out


def statuses(found: Summary) -> list[tuple[str, int, int, int]]:
    """(status in words, people before, after, difference) of every status that anybody has."""
    names = [*STATUSES, ""]
    rows = [(name, found.before.get(name, 0), found.after.get(name, 0)) for name in names]
    return [(status_word(name), old, new, new - old) for name, old, new in rows if old or new]


def status_word(name: str) -> str:
    """A status of a preview in words."""
    return STATUSES[name][1] if name in STATUSES else "Not asked"


def how_used(counts: Mapping[str, int]) -> list[tuple[str, str, int]]:
    """(status, in words, how many) for everything the rule says of people now, deferrals and refusals included."""
    return [
        (name, words, counts.get(name, 0))
        for name, (_, words) in STATUSES.items()
        if name in counts or name in SHOWN
    ]


def changed_row(row: Any, banner: Any) -> dict[str, str]:
    """Somebody of a preview as the table shows them."""
    one = row.changed
    return {
        "href": f"/patients/{one.patient}", "name": banner.name, "age": banner.age, "mrn": banner.mrn,
        "before": _status(one.before, one.before_due), "after": _status(one.after, one.after_due), "because": one.because,
    }  # fmt: skip


def _status(name: str, day: Any) -> str:
    shown = (
        f" {dates.of_date(day)}"
        if day is not None and name in ("due", "due-soon", "overdue", "up-to-date")
        else ""
    )
    return status_word(name) + shown


def signed(one: Signed, zone: Zone) -> dict[str, str]:
    """An approval as the rule's page lists it."""
    approval = one.approval
    gone = (
        f"withdrawn by {one.withdrawn_by} on {zone.stamp(approval.withdrawn)}: {one.withdrawn_why}"
        if approval.withdrawn
        else ""
    )
    return {
        "version": approval.version, "who": approval.by, "when": zone.stamp(approval.at), "comment": approval.comment,
        "withdrawn": gone,
    }  # fmt: skip
