"""What rules could not tell about a person, as questions: for the patient before a visit, and for the staff.

The questionnaire is a FHIR Questionnaire whose link ids are the names of risks and organs; a QuestionnaireResponse to it is
read by `care.facts`, so that answering settles what was asked. Answers that only a chart can hold (a code, a result, an
interval) are the staff's.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any, Literal

from msgspec import Struct

from commonchart.care.assess import Due
from commonchart.care.facts import QUESTIONNAIRE
from commonchart.care.schema import Pack

PRE_VISIT = f"{QUESTIONNAIRE}pre-visit"
Audience = Literal["patient", "staff"]


class Asked(Struct, frozen=True):
    """One question, for whom, how it is answered, and the rules that wait for it."""

    id: str
    text: str
    kind: Literal["boolean", "date"]
    audience: Audience
    sensitive: bool
    rules: tuple[str, ...]


_OTHERS: dict[str, tuple[str, Literal["boolean", "date"], Audience]] = {
    "organ-cervix": ("Do you have a cervix (neck of the womb)?", "boolean", "patient"),
    "organ-breasts": ("Do you have breasts (breast tissue)?", "boolean", "patient"),
    "organ-ovaries": ("Do you have ovaries?", "boolean", "patient"),
    "organ-uterus": ("Do you have a womb?", "boolean", "patient"),
    "organ-prostate": ("Do you have a prostate?", "boolean", "patient"),
    "organ-testes": ("Do you have testes?", "boolean", "patient"),
    "asian-descent": ("Are you of Asian descent?", "boolean", "patient"),
    "pregnancy-end": ("Is the pregnancy that we know of over?", "boolean", "patient"),
    "due-date": ("When is the baby due?", "date", "patient"),
    "birth-date": ("Record the date of birth", "date", "staff"),
    "sex": ("Record the sex at birth, or the sex for clinical use", "boolean", "staff"),
}


def questions(due: Iterable[Due], pack: Pack) -> list[Asked]:
    """Every question that would settle a cannot-tell, once, with the rules that wait for it, in the order of the rules."""
    waiting: dict[str, list[Due]] = {}
    for one in due:
        if one.status == "cannot-tell":
            for name in one.why.get("asks", ()):
                waiting.setdefault(name, []).append(one)
    return [asked for name, found in waiting.items() for asked in _asked(name, found, pack)]


def _asked(name: str, found: list[Due], pack: Pack) -> list[Asked]:
    rules = tuple(one.rule for one in found)
    risk = pack.risks.get(name)
    if risk is not None:
        return [Asked(name, risk.question, "boolean", risk.ask, risk.sensitive, rules)]
    if name in _OTHERS:
        text, kind, audience = _OTHERS[name]
        return [Asked(name, text, kind, audience, name == "pregnancy-end", rules)]
    texts: dict[str, list[str]] = {}
    for one in found:
        texts.setdefault(one.why["question"], []).append(one.rule)
    return [Asked(name, text, "boolean", "staff", False, tuple(of)) for text, of in texts.items()]


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
        "item": [{"linkId": one.id, "text": one.text, "type": one.kind, "required": False} for one in asked],
    }
