"""What is due and why, in patient words: stored rows only, as the chart shows them to clinicians."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct
from starlette.responses import Response

from commonchart.access import rules
from commonchart.access.due import Standing, standing
from commonchart.care import questions
from commonchart.web.clinician.questionnaire import as_due
from commonchart.web.portal import days
from commonchart.web.portal.door import Door
from commonchart.web.present import due as present

GROUPS = (
    ("overdue", "over", "Overdue"), ("due", "new", "Due now"), ("cannot-tell", "ask", "We need to know"), ("due-soon", "off", "Coming up"),
    ("declined", "off", "You said no, or not now"), ("up-to-date", "ok", "Up to date"),
)  # fmt: skip
# What a vaccine group is called at home, and what it protects against. The name of the schedule stays beside it.
VACCINES = {
    "DTaP/Tdap/Td": ("Tetanus shot", "tetanus, diphtheria and whooping cough"), "HepB": ("Hepatitis B shot", "hepatitis B, which harms the liver"),
    "HepA": ("Hepatitis A shot", "hepatitis A, which harms the liver"), "MMR": ("Measles shot", "measles, mumps and rubella"),
    "Varicella": ("Chickenpox shot", "chickenpox"), "Zoster": ("Shingles shot", "shingles, a painful rash"),
    "Pneumococcal": ("Pneumonia shot", "germs that can cause pneumonia"), "Influenza": ("Flu shot", "the flu"),
    "HPV": ("HPV shot", "a virus that can cause cancer"), "Hib": ("Hib shot", "a germ that can cause meningitis in small children"),
    "Polio": ("Polio shot", "polio"), "RSV": ("RSV shot", "a virus that can make breathing hard"), "COVID-19": ("COVID-19 shot", "COVID-19"),
    "Meningococcal": ("Meningitis shot", "germs that can cause meningitis"), "Meningococcal B": ("Meningitis B shot", "a germ that can cause meningitis"),
    "Rotavirus": ("Rotavirus drops", "a virus that gives babies diarrhea"),
}  # fmt: skip
_JOINED = {"deferred": "declined"}


class Item(Struct, frozen=True):
    """One thing that is due: what, a sentence, and why."""

    rule: str
    title: str
    text: str
    used: tuple[str, ...]
    states: str
    source: str


class Group(Struct, frozen=True):
    """Things in one state."""

    id: str
    tag: str
    words: str
    items: tuple[Item, ...]


class List(Struct, frozen=True):
    """Everything: the groups, how many checks are not ready, whether it is behind or was never made, and the questions."""

    groups: tuple[Group, ...]
    unready: int
    waiting: bool
    made: str
    asked: int

    @property
    def first(self) -> list[tuple[Group, Item]]:
        """What the home page names: at most four, the most urgent first."""
        return [
            (group, item) for group in self.groups if group.id in ("overdue", "due") for item in group.items
        ][:4]


async def page(me: Door) -> Response:
    """Every check in its state."""
    return me.page(
        "due.html", me.whose("What you are due for", "What {name} is due for"), due=await due_list(me)
    )


async def due_list(me: Door) -> List:
    """The due list of the patient."""
    found = await standing(me.records, me.patient)
    pack = await rules.in_use(me.records)
    items = [present.item(row, pack, me.call.zone) for row in found.rows]
    ready = [one for one in items if not one.unreviewed]
    groups = [
        Group(
            id,
            tag,
            words,
            tuple(plain(one) for one in ready if _JOINED.get(one.status, one.status) == id),
        )
        for id, tag, words in GROUPS
    ]
    at = max((row.assessed_on for row in found.rows), default=None)
    return List(
        tuple(group for group in groups if group.items),
        sum(one.unreviewed and one.status in present.OPEN for one in items),
        found.waiting,
        days.of_date(at) if at else "",
        len(asked_of(me, found, pack)),
    )


def asked_of(me: Door, found: Standing, pack: Any) -> list[questions.Asked]:
    """What the patient can answer; somebody acting for them is not asked what is sensitive."""
    rows = [as_due(row) for row in found.rows if row.kind != "immunization"]
    asked = [one for one in questions.questions(rows, pack) if one.audience == "patient"]
    return [one for one in asked if me.acting is None or not one.sensitive]


def plain(one: present.Item) -> Item:
    """An item in patient words: the everyday name of a vaccine, and no instruction that is meant for staff."""
    used = tuple(f"{fact.words}{f', {_said(fact.day)}' if fact.day else ''}" for fact in one.used)
    lines = dict(one.rule_lines)
    source = f"Advice from {lines['Authority']}." if lines.get("Authority") else ""
    return Item(one.rule, _title(one), _text(one), used, lines.get("States", ""), source)


def _vaccine(one: present.Item) -> tuple[str, str] | None:
    return VACCINES.get(one.title.split(", dose ")[0]) if one.kind == "immunization" else None


def _title(one: present.Item) -> str:
    """The title; of a vaccine its everyday name first: "Shingles shot (Zoster, dose 1)"."""
    known = _vaccine(one)
    same = known and known[0].split()[0] == one.title
    return one.title if known is None else known[0] if same else f"{known[0]} ({one.title})"


def _asked(one: present.Item) -> str:
    """What we have to know: the question itself, where it is one that a patient can answer."""
    if one.status != "cannot-tell" or not one.question:
        return ""
    if one.question.rstrip().endswith("?"):
        return f"The question: {one.question}"
    return "We have to find something out with you first: ask us."


def _said(day: str) -> str:
    """A day as the chart writes it, in full: `10-Dec-1985` as `10 December 1985`."""
    names = {name[:3]: name for name in days.MONTHS["en"]}
    return " ".join(names.get(part, part.lstrip("0") or part) for part in day.split("-"))


def _text(one: present.Item) -> str:
    """A sentence: what it is, and the last time or that there is none."""
    parts: Iterable[str] = (
        f"Protects against {known[1]}." if (known := _vaccine(one)) else one.plain,
        _last(one),
        _asked(one),
        _when(one),
    )
    return " ".join(part for part in parts if part)


def _last(one: present.Item) -> str:
    if one.status not in ("overdue", "due", "due-soon"):
        return ""
    known = [fact.day for fact in one.used if fact.day]
    return (
        f"Last written down: {_said(known[0])}."
        if known
        else "We have no record of one. It may have been done somewhere else: tell us."
    )


def _when(one: present.Item) -> str:
    if one.status in ("up-to-date", "deferred", "declined") and one.when.startswith("until "):
        return (
            f"Good until {_said(one.when.removeprefix('until '))}."
            if one.status == "up-to-date"
            else f"We ask again on {_said(one.when.removeprefix('until '))}."
        )
    return (
        f"From {_said(one.when.removeprefix('on '))}."
        if one.status == "due-soon" and one.when.startswith("on ")
        else ""
    )
