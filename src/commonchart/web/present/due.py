"""The due rail: stored rows as marks, words, and an explanation that can be opened."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from msgspec import Struct

from commonchart.care.acts import acts
from commonchart.care.schema import Pack, Rule
from commonchart.web.present import dates
from commonchart.web.present.zone import UTC_CLOCKS, Zone

# Order, mark and word of each status; only the first four ask for something.
STATUSES = {
    "overdue": ("overdue", "Overdue"), "due": ("due", "Due"), "cannot-tell": ("unknown", "Cannot tell"), "due-soon": ("soon", "Due soon"),
    "deferred": ("not", "Deferred"), "declined": ("not", "Declined"), "up-to-date": ("done", "Up to date"), "excluded": ("not", "Excluded"), "not-applicable": ("not", "Not applicable"),
}  # fmt: skip
SHARED = 3
AT_ONCE = 10
MOST_OVERDUE = 8
OPEN = ("overdue", "due", "cannot-tell", "due-soon")
_WORDS = {"overdue": "overdue", "due": "due", "cannot-tell": "cannot tell", "due-soon": "soon"}


class Used(Struct, frozen=True):
    """One fact of the explanation; `link` is `Type/id`."""

    words: str
    day: str = ""
    link: str = ""
    reason: str = ""


class Item(Struct, frozen=True):
    """One rule for one patient, as the rail shows it. `do` are (path under the patient, words) of what can be done, the most useful first."""

    rule: str
    title: str
    status: str
    mark: str
    word: str
    when: str
    because: str
    question: str
    used: tuple[Used, ...]
    unused: tuple[Used, ...]
    satisfied_by: str
    rule_lines: tuple[tuple[str, str], ...]
    unreviewed: bool
    do: tuple[tuple[str, str], ...] = ()
    kind: str = ""
    plain: str = ""
    note: str = ""
    within: str = ""
    approved: str = ""


class Ask(Struct, frozen=True):
    """One thing to find out that several rules wait for."""

    question: str
    titles: tuple[str, ...]


class Group(Struct, frozen=True):
    """What has one status: `first` stands there with its explanation, `rest` behind one line that counts it; `shut` when all does."""

    status: str
    mark: str
    word: str
    words: str
    first: tuple[Item, ...]
    rest: tuple[Item, ...]
    asks: tuple[Ask, ...] = ()
    shut: bool = False

    @property
    def rest_words(self) -> str:
        """What is behind the line: how many, and whether any of them was reviewed."""
        n = len(self.rest)
        unreviewed = " not reviewed" if all(one.unreviewed for one in self.rest) else ""
        return f"{n}{' more' if self.first else ''}{unreviewed}"


class Rail(Struct, frozen=True):
    """The whole list: what asks for something, what several rules wait for, what asks for nothing, and the sentence over it."""

    open: tuple[Item, ...]
    asks: tuple[Ask, ...]
    closed: tuple[Item, ...]
    words: str
    worked_out: str
    empty: str

    @property
    def groups(self) -> tuple[Group, ...]:
        """What asks for something, the most urgent first: few are shown at once, and every one is in a count."""
        left, out = AT_ONCE, []
        for status in OPEN:
            found = [one for one in self.open if one.status == status]
            asks = self.asks if status == "cannot-tell" else ()
            shut = status not in ("overdue", "due") and left < AT_ONCE
            first = 0 if shut else min(left, MOST_OVERDUE if status == "overdue" else left)
            if found or asks:
                out.append(group(status, found, first, asks, shut=shut))
                left -= len(out[-1].first)
        return tuple(out)

    @property
    def explained(self) -> tuple[Item, ...]:
        """The items that are shown with their explanation."""
        return tuple(one for found in self.groups for one in found.first)


def group(
    status: str, found: Sequence[Item], first: int, asks: Sequence[Ask] = (), *, shut: bool = False
) -> Group:
    """The items of one status, the `first` of them at once."""
    mark, word = STATUSES[status]
    said = [f"{len(found)}"] if found else []
    said += [f"{len(asks)} to ask"] if asks else []
    return Group(
        status, mark, word, ", ".join(said), tuple(found[:first]), tuple(found[first:]), tuple(asks), shut
    )


def rail(rows: Iterable[Any], today: date, pack: Pack | None = None, zone: Zone = UTC_CLOCKS) -> Rail:
    """The rail of these due rows (columns of the table `due`): by urgency, what was reviewed first."""
    rows = list(rows)
    asks, grouped = _asks(rows)
    order = list(STATUSES)
    items = sorted(
        (item(row, pack, zone) for row in rows if row.rule not in grouped),
        key=lambda one: (order.index(one.status) if one.status in order else 99, one.unreviewed, one.title),
    )
    waiting = tuple(one for one in items if one.status in OPEN)
    counts = [(sum(one.status == status for one in waiting), _WORDS[status]) for status in OPEN]
    counts.append((len(asks), "to ask"))
    at = max((row.assessed_at for row in rows if getattr(row, "assessed_at", None)), default=None)
    return Rail(
        waiting,
        asks,
        tuple(one for one in items if one.status not in OPEN),
        ", ".join(f"{n} {words}" for n, words in counts if n),
        zone.stamp(at) if at else "",
        "Nothing is due now."
        if rows
        else "NOT CHECKED: the due list of this patient has not been worked out yet.",
    )


def _asks(rows: Iterable[Any]) -> tuple[tuple[Ask, ...], set[str]]:
    """What at least three rules wait for, said once; and the rules that are told with it."""
    waiting: dict[tuple[str, ...], list[tuple[Any, Mapping[str, Any]]]] = {}
    for row in rows:
        why: Mapping[str, Any] = json.loads(row.why) if isinstance(row.why, str) else row.why or {}
        if row.status == "cannot-tell" and why.get("asks"):
            waiting.setdefault(tuple(why["asks"]), []).append((row, why))
    shared = {names: found for names, found in waiting.items() if len(found) >= SHARED}
    asks = [
        Ask(_shared_question(names, found), tuple(sorted(row.title for row, _ in found)))
        for names, found in shared.items()
    ]
    ordered = sorted(asks, key=lambda one: (-len(one.titles), one.question))
    return tuple(ordered), {row.rule for found in shared.values() for row, _ in found}


def _shared_question(names: tuple[str, ...], found: list[tuple[Any, Mapping[str, Any]]]) -> str:
    """The question once; for what has no code, which entries they are."""
    noun = {"code-medications": "medication", "code-problems": "problem"}.get(names[0])
    if noun is None:
        return _sentence(found[0][1].get("question") or found[0][1].get("ask"))
    entries = dict.fromkeys(_used(one).words for _, why in found for one in why.get("unused") or ())
    return f"Code the {noun}{'' if len(entries) == 1 else 's'} without a code: {', '.join(entries)}"


def item(row: Any, pack: Pack | None = None, zone: Zone = UTC_CLOCKS) -> Item:
    """One row of the due table with its explanation, and with what can be done about it where its pack is known."""
    why: Mapping[str, Any] = json.loads(row.why) if isinstance(row.why, str) else row.why or {}
    mark, word = STATUSES.get(row.status, ("unknown", row.status))
    return Item(
        row.rule,
        row.title,
        row.status,
        mark,
        word,
        _when(row, why),
        str(why.get("because") or why.get("reason") or why.get("sentence") or ""),
        _sentence(why.get("question") or why.get("ask")),
        tuple(_used(one) for one in why.get("used") or ()),
        tuple(_used(one) for one in why.get("unused") or why.get("not_used") or ()),
        _sentence(why.get("satisfied_by")),
        tuple(_rule_lines(row, why, zone)),
        why.get("review") == "needed" and not _approved(row, zone),
        _do(row, why, pack.by_id.get(row.rule) if pack else None, pack),
        row.kind,
        str(why.get("plain", "")),
        _note(row, why),
        str(why.get("within", "")),
        _approved(row, zone),
    )


def _approved(row: Any, zone: Zone) -> str:
    """By whom and when a rule that was not reviewed was approved here."""
    one = getattr(row, "approved", None)
    return f"approved by {one.by} on {zone.on(one.at)}" if one is not None else ""


def _note(row: Any, why: Mapping[str, Any]) -> str:
    """What stands beside the answer; of a decision, what the answer would be without it."""
    note = str(why.get("note", ""))
    decided = row.status in ("deferred", "declined") or str(why.get("because", "")).startswith("Set aside")
    return f"Without this decision: {note}" if note and decided else note


def _do(
    row: Any, why: Mapping[str, Any], rule: Rule | None, pack: Pack | None
) -> tuple[tuple[str, str], ...]:
    """What can be done about an item, the most useful first. A vaccine that is due can be given from here."""
    if row.kind == "immunization":
        return tuple(_vaccine(row, why)) if row.status in OPEN else ()
    if rule is None or pack is None or row.status not in OPEN:
        return ()
    asking = _settling(row, why) if row.status == "cannot-tell" else None
    return tuple(([asking] if asking else _doing(rule, pack)) + [(f"due/{rule.id}/defer", "Defer")])


def _vaccine(row: Any, why: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    products = why.get("products") or ()
    query = f"?cvx={products[0]}" if products and row.status != "cannot-tell" else ""
    yield (f"immunizations/give{query}", "Give") if query else ("immunizations", "Look at the vaccines")
    if query:
        yield f"immunizations/refuse{query}", "Not given"


def _settling(row: Any, why: Mapping[str, Any]) -> tuple[str, str] | None:
    """Where what nobody can tell is settled."""
    asks = why.get("asks") or ("",)
    if "set-interval" in asks:
        return f"due/{row.rule}/interval", "Set the interval"
    links = [_used(one).link for one in why.get("used") or ()]
    result = next((link for link in links if link.startswith("Observation/")), "")
    if "read-result" in asks and result:
        return f"edit/{result}", "Enter the result"
    return ("questionnaire", "Answer") if asks != ("",) else None


def _doing(rule: Rule, pack: Pack) -> list[tuple[str, str]]:
    """Ordering and recording, as far as the rule's ways allow; a medicine has a form of its own."""
    found = acts(rule, pack)
    done = [one for one in found if one.type != "MedicationRequest"]
    out = [(f"due/{rule.id}/order", "Order"), (f"due/{rule.id}/record", "Record")] if done else []
    return out + ([] if len(done) == len(found) else [("new/medication", "Add the medicine")])


def _when(row: Any, why: Mapping[str, Any]) -> str:
    if row.status in ("overdue", "due") and not why.get("used"):
        return "none recorded"
    if row.status == "overdue":
        day = row.overdue_on or row.due_on
        return f"since {dates.of_date(day)}" if day else ""
    if row.status == "due":
        return f"since {dates.of_date(row.due_on)}" if row.due_on else "now"
    if row.status == "due-soon":
        return f"on {dates.of_date(row.due_on)}" if row.due_on else ""
    if row.status in ("up-to-date", "deferred", "declined"):
        return f"until {dates.of_date(row.until)}" if row.until else ""
    if row.status == "cannot-tell":
        return _sentence(why.get("question") or why.get("ask"))
    return ""


def _used(one: Any) -> Used:
    if isinstance(one, str):
        return Used(one)
    link = str(one.get("link") or one.get("resource") or one.get("reference") or "")
    words = str(one.get("words") or one.get("text") or one.get("what") or link or "a fact")
    day = dates.day(str(one.get("when") or one.get("date") or "")) or ""
    return Used(
        words, day, link if link.count("/") == 1 else "", str(one.get("reason") or one.get("why") or "")
    )


def _sentence(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "; ".join(_sentence(one) for one in value if one)
    return str(value) if value else ""


def _rule_lines(row: Any, why: Mapping[str, Any], zone: Zone) -> Iterable[tuple[str, str]]:
    for label, name in (("States", "states"), ("Authority", "authority"), ("Source", "source")):
        if why.get(name):
            yield label, _sentence(why[name])
    if why.get("date"):
        yield "Dated", dates.day(str(why["date"]))
    if row.due_on and row.status in ("overdue", "due") and not why.get("used"):
        yield "Since", dates.of_date(row.due_on)
    review = _approved(row, zone) or ("not reviewed by a clinician" if why.get("review") == "needed" else "")
    site = ", changed by this site" if why.get("site") else ""
    yield "Version", f"{row.rule} in pack {row.pack} {row.version}{site}{f' ({review})' if review else ''}"
    considered = why.get("exclusions") or why.get("exclusions_considered")
    if considered:
        yield "Excluded by", _sentence(considered)
    yield (
        "Next change",
        dates.of_date(row.next_change_on) if row.next_change_on else "when something new is recorded",
    )
