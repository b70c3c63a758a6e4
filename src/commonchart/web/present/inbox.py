"""The inbox in words: how long something has waited, what is unusual about an item, and what was done with it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from commonchart.access.inbox import sight
from commonchart.care.inbox.judge import Judged, Line
from commonchart.care.labels import labels
from commonchart.web.present.readings import Flag
from commonchart.web.present.zone import Zone

KINDS = {
    "critical": "Critical", "abnormal": "Abnormal", "cannot-tell": "Cannot tell", "normal": "Normal",
}  # fmt: skip
_MARKS = {
    "HH": "critically high", "LL": "critically low", "AA": "critically abnormal", "H": "high", "L": "low", "A": "abnormal",
}  # fmt: skip
TRENDS = {
    "up": ("↑", "higher than before"),
    "down": ("↓", "lower than before"),
    "same": ("=", "the same as before"),
}
ACTS = {
    "signed": "Signed", "seen": "Acknowledged, not signed: it was not final", "undone": "Taken back", "forwarded": "Forwarded",
    "handed": "Handed over", "took": "Taken over", "commented": "Comment", "ordered": "Ordered", "notified": "Patient told", "acknowledged": "Critical value acknowledged",
}  # fmt: skip

TOLD = {
    "waiting": "to be sent",
    "sending": "being sent",
    "sent": "sent",
    "none": "not sent",
    "failed": "could not be sent",
}


def kept_from(why: str) -> str:
    """Why no clinician may open a critical result (`access.inbox.sight.why`), in words."""
    if why.startswith(sight.LABEL):
        titles = [
            labels()[name].title for name in why.removeprefix(sight.LABEL).split(",") if name in labels()
        ]
        return f"A label hides it: {', '.join(titles)}"
    if why == sight.NOBODY:
        return "No clinician works for the organisation"
    return "A consent of the patient keeps it from them, or no treatment relationship opens it to them"


class Row(Struct, frozen=True):
    """One item of the list: the most urgent line stands for it. `tags` are (words, tone)."""

    key: str
    href: str
    name: str
    test: str
    sub: str
    value: str
    unit: str
    flag: Flag
    before: str
    trend: tuple[str, str]
    received: str
    waiting: str
    whose: str
    kind: str
    tags: tuple[tuple[str, str], ...]


def waited(since: datetime, now: datetime) -> str:
    """`47 min`, `3 h`, `2 d`; never less than nothing."""
    minutes = max(0, int((now - since).total_seconds() // 60))
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"


def minutes(value: float | None) -> str:
    """A length of time in a report: `12 min`, `3 h 5 min`, "" for none."""
    if value is None:
        return ""
    whole = round(value)
    return f"{whole} min" if whole < 120 else f"{whole // 60} h {whole % 60} min"


def flag(line: Line) -> Flag:
    """The shape and letter of a line."""
    return Flag(line.mark, _MARKS.get(line.mark, ""))


def first(judged: Judged) -> Line:
    """The line that stands for an item: the most urgent that was not struck out."""
    return (
        next((one for one in judged.lines if not one.gone), judged.lines[0])
        if judged.lines
        else Line("", "", "", "")
    )


def brief(text: str) -> str:
    """A value in a narrow cell, which may wrap; what is cut ends in an ellipsis."""
    return text if len(text) <= 90 else f"{text[:89].rstrip()}…"


def sub(judged: Judged) -> str:
    """Under the name of a report: which of its lines is shown, and how many others there are."""
    line, more = first(judged), len(judged.lines) - 1
    if not line.name or (line.name == judged.title and not more):
        return ""
    return line.name + (f" and {more} more" if more else "")


def tags(judged: Judged, corrected: str, forwarded: str) -> tuple[tuple[str, str], ...]:
    """What is unusual: gone, corrected, partial, quarantined, not checked, forwarded."""
    out = []
    if judged.gone:
        out.append((judged.gone.capitalize(), "hi"))
    if corrected:
        out.append((corrected[0].upper() + corrected[1:], "hi"))
    if judged.partial:
        out.append((f"Partial: {judged.partial}" if judged.partial != "partial" else "Partial", ""))
    if any(one.quarantined for one in judged.lines):
        out.append(("Quarantined", "hi"))
    if any(one.not_checked for one in judged.lines):
        out.append(("Critical limits NOT CHECKED", ""))
    if forwarded:
        out.append((f"From {forwarded}", ""))
    return tuple(out)


def act(kind: str, absent: str, names: Mapping[str, str]) -> str:
    """An act in words; `absent` is the user for whom it was done."""
    return ACTS.get(kind, kind) + (f" for {names.get(absent, 'a colleague')}" if absent else "")


def received(at: datetime, zone: Zone) -> str:
    """When it reached us, short; the page says in which zone."""
    return f"{zone.on(at)[:6]} {zone.local(at):%H:%M}"
