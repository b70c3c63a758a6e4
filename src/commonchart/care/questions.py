"""What rules could not tell about a person, as questions: for the patient before a visit, and for the staff.

The questionnaire is a FHIR Questionnaire whose link ids are the names of risks and organs; a QuestionnaireResponse to it is
read by `care.facts`, so that answering settles what was asked (`care.answers`). What only a chart can hold (a code, a result,
an interval) is a task: `about` names the entries to be mended.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any, Literal

from msgspec import Struct

from commonchart.care.assess import Due
from commonchart.care.facts import QUESTIONNAIRE
from commonchart.care.schema import Pack, Risk

PRE_VISIT = f"{QUESTIONNAIRE}pre-visit"
Audience = Literal["patient", "staff"]
AnswerKind = Literal["boolean", "date", "ended", "born", "sex", "body", "confirm", "task"]


class Asked(Struct, frozen=True):
    """One question, for whom, how it is answered, and the rules that wait for it.

    `about` are the entries (words, "Type/id") that it is about; `told` says when it was asked without an answer, and when again.
    """

    id: str
    text: str
    kind: AnswerKind
    audience: Audience
    sensitive: bool
    rules: tuple[str, ...]
    group: str = ""
    titles: tuple[str, ...] = ()
    about: tuple[tuple[str, str], ...] = ()
    told: dict[str, str] | None = None


_OTHERS: dict[str, tuple[str, AnswerKind, Audience]] = {
    "organ-cervix": ("Do you have a cervix (neck of the womb)?", "boolean", "patient"),
    "organ-breasts": ("Do you have breasts (breast tissue)?", "boolean", "patient"),
    "organ-ovaries": ("Do you have ovaries?", "boolean", "patient"),
    "organ-uterus": ("Do you have a womb?", "boolean", "patient"),
    "organ-prostate": ("Do you have a prostate?", "boolean", "patient"),
    "organ-testes": ("Do you have testes?", "boolean", "patient"),
    "asian-descent": ("Are you of Asian descent?", "boolean", "patient"),
    "pregnancy-end": ("Is the pregnancy that we know of over?", "ended", "patient"),
    "due-date": ("When is the baby due?", "date", "patient"),
    "birth-date": ("Record the date of birth", "born", "staff"),
    "sex": ("Record the sex for clinical use", "sex", "staff"),
    "measure-bmi": ("Measure weight and height", "body", "staff"),
}
_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Who it is", ("birth-date", "sex")),
    ("Smoking and tobacco", ("ever-smoked", "uses-tobacco", "pack-years-20", "quit-under-15-years")),
    ("Body", ("organ-", "asian-descent", "measure-bmi", "fair-skin", "postmenopausal")),
    ("Pregnancy", ("pregnancy-end", "due-date", "could-become-pregnant", "perinatal-", "pre-eclampsia-", "rh-d-")),
    ("Family and health", ("family-history-", "fracture-", "fall-", "tuberculosis-", "lead-", "breast-cancer-", "risk-10-")),
    ("Sexual health and infections", ("sexually-", "sti-", "hiv-", "syphilis-", "hepatitis-b-")),
    ("Insurance", ("medicare-",)),
)  # fmt: skip
OTHER_GROUP = "Other questions"
IN_THE_CHART = "To be mended in the chart"
GROUPS = (*(name for name, _ in _GROUPS), OTHER_GROUP, IN_THE_CHART)
TASKS = ("code-problems", "code-medications", "confirm-problem", "read-result", "set-interval")


def questions(due: Iterable[Due], pack: Pack, *, again: bool = False) -> list[Asked]:
    """Every question that would settle a cannot-tell, once, with the rules that wait for it, by group and then in the order of rules.

    What was asked lately and not answered is left out, unless `again`.
    """
    waiting: dict[str, list[Due]] = {}
    for one in due:
        if one.status == "cannot-tell":
            lately = {told["question"] for told in one.why.get("told", ())}
            for name in one.why.get("asks", ()):
                if again or name not in lately:
                    waiting.setdefault(name, []).append(one)
    found = [asked for name, rows in waiting.items() for asked in _asked(name, rows, pack)]
    return sorted(found, key=lambda one: (GROUPS.index(one.group), one.audience))


def unanswered(due: Iterable[Due], pack: Pack) -> list[Asked]:
    """What was asked lately and not answered, each once: `told` says what was said, when, and from when to ask again."""
    return [one for one in questions(due, pack, again=True) if one.told]


def _asked(name: str, found: list[Due], pack: Pack) -> list[Asked]:
    if name in TASKS or not (name in pack.risks or name in _OTHERS):
        return _tasks(name, found)
    risk = pack.risks.get(name)
    other: tuple[str, AnswerKind, Audience] = ("", "boolean", "staff")
    text, kind, audience = (_asks(risk), other[1], risk.ask) if risk else _OTHERS[name]
    told = next((one for row in found for one in row.why.get("told", ()) if one["question"] == name), None)
    sensitive = risk.sensitive if risk else name == "pregnancy-end"
    rules, titles = tuple(one.rule for one in found), tuple(one.title for one in found)
    return [Asked(name, text, kind, audience, sensitive, rules, group(name), titles, (), told)]


def _asks(risk: Risk) -> str:
    """A question that can be answered with yes or no, also where the pack only says what to find out."""
    return risk.question if risk.question.endswith("?") else f"{risk.question}. Is it so: {risk.label}?"


def _tasks(name: str, found: list[Due]) -> list[Asked]:
    """One task for each thing in the chart that rules stumble over: rules that stumble over the same share it."""
    together: dict[tuple[str, tuple[tuple[str, str], ...]], list[Due]] = {}
    for one in found:
        about = tuple(
            (fact["words"], fact["link"]) for fact in one.why.get("unused") or one.why.get("used") or ()
        )
        about = about if name != "set-interval" else ()
        text = _WORDS.get(name) or one.why["question"]
        together.setdefault((text, about), []).append(one)
    kind: AnswerKind = "confirm" if name == "confirm-problem" else "task"
    return [
        Asked(name, text, kind, "staff", False, tuple(one.rule for one in rows), IN_THE_CHART, tuple(one.title for one in rows), about)
        for (text, about), rows in together.items()
    ]  # fmt: skip


_WORDS = {
    "code-problems": "Give the problems without a code one that rules can read",
    "read-result": "Complete the result: its value or its unit cannot be read",
    "code-medications": "Give the medications without a code one that rules can read",
}


def group(name: str) -> str:
    """The group a question stands in."""
    return next((title for title, of in _GROUPS if any(_belongs(name, one) for one in of)), OTHER_GROUP)


def _belongs(name: str, one: str) -> bool:
    """Whole names, or beginnings that end with a hyphen."""
    return name.startswith(one) if one.endswith("-") else name == one


def whole(pack: Pack) -> dict[str, Any]:
    """The Questionnaire of every question a pack can ask, which responses refer to: url and version name it for good."""
    asked = [(name, risk.question) for name, risk in pack.risks.items() if not (risk.any or risk.all)]
    items = [{"linkId": name, "text": text, "type": "boolean"} for name, text in asked]
    items += [
        {"linkId": name, "text": text, "type": _TYPES[kind]} for name, (text, kind, _) in _OTHERS.items()
    ]
    return {
        "resourceType": "Questionnaire", "id": f"pre-visit-{pack.hash[:16]}", "url": PRE_VISIT, "version": version(pack),
        "status": "active", "title": "Questions before a visit", "subjectType": ["Patient"], "item": items,
    }  # fmt: skip


_TYPES: dict[AnswerKind, str] = {
    "boolean": "boolean", "ended": "boolean", "date": "date", "born": "date", "sex": "string", "body": "string",
}  # fmt: skip


def version(pack: Pack) -> str:
    """The version of the questionnaire that this pack asks."""
    return f"{pack.id}-{pack.version}-{pack.hash[:8]}"


def questionnaire(
    due: Iterable[Due], pack: Pack, as_of: date, *, proxy: bool = False
) -> dict[str, Any] | None:
    """The pre-visit Questionnaire of one patient; None if nothing is to be asked. A proxy gets no sensitive question."""
    asked = [
        one for one in questions(due, pack) if one.audience == "patient" and not (proxy and one.sensitive)
    ]
    if not asked:
        return None
    return {
        "resourceType": "Questionnaire",
        "url": PRE_VISIT,
        "version": f"{pack.id}-{pack.version}",
        "status": "active",
        "title": "Questions before your visit",
        "subjectType": ["Patient"],
        "date": as_of.isoformat(),
        "item": [
            {"linkId": one.id, "text": one.text, "type": _TYPES[one.kind], "required": False} for one in asked
        ],
    }
