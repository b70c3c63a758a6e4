"""Every question has an answer form of some kind, and answering it settles what waited for it; not knowing is kept too."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from commonchart.care.answers import Given, Written, facts, response, with_sex
from commonchart.care.assess import Due, assess
from commonchart.care.chart import Chart
from commonchart.care.facts import evidence
from commonchart.care.person import person
from commonchart.care.questions import TASKS, Asked, questions, unanswered, whole
from commonchart.care.risks import held
from commonchart.care.rules import built_in
from commonchart.care.verdict import Question
from commonchart.fhir.validate import validate
from tests.care.cases import DIABETES, ICD, SCT, TODAY, concept, condition, every, patient

PACK = built_in()
NOW = datetime(2026, 11, 18, 10, tzinfo=UTC)
WRITTEN = Written("p", NOW, {"display": "Dr. Smith"}, {"reference": "Patient/p"}, "qr")
LEAVES = [name for name, risk in PACK.risks.items() if not (risk.any or risk.all)]
ASKED = [name for name in LEAVES if PACK.risks[name].otherwise == "ask"]
PREGNANT = condition((SCT, "77386006"), since="2026-08-01", text="Pregnant")
OLD_PREGNANCY = condition((SCT, "77386006"), since="2025-06-01", text="Pregnant")
# Between them these people come to be asked everything that the pack can ask.
PEOPLE: dict[str, tuple[dict[str, Any], tuple[dict[str, Any], ...]]] = {
    "man of 67": (patient("1959-01-01", "male"), ()),
    "woman of 56": (patient(), ()),
    "woman of 30": (patient("1996-05-10"), ()),
    "girl of 17": (patient("2009-01-01"), ()),
    "child of 1": (patient("2025-09-01"), ()),
    "woman of 66": (patient("1960-05-10"), ()),
    "pregnant": (patient("1996-05-10"), (PREGNANT,)),
    "pregnant too long": (patient("1996-05-10"), (OLD_PREGNANCY,)),
    "sex not known": (patient(sex=""), ()),
    "no birth date": (patient(born=""), ()),
    "nothing known": (patient(born="", sex=""), ()),
    "problem in doubt": (patient(), (condition(DIABETES, verified="provisional"),)),
    "opioids": (patient(), ({
        "resourceType": "MedicationRequest", "id": "m", "status": "active", "authoredOn": "2026-01-01",
        "medicationCodeableConcept": {"text": "oxycodone"},
    },)),
    "raised sugar": (patient(), (condition((ICD, "R73.03")),)),
}  # fmt: skip


def _given(one: Asked, said: str) -> Given:
    if said in ("unknown", "declined"):
        return Given(one, said)  # type: ignore[arg-type]
    if one.kind == "date":
        return Given(one, "yes", "2027-04-01")
    if one.kind == "born":
        return Given(one, "yes", "1970-05-10")
    if one.kind == "sex":
        return Given(one, "yes", "female")
    if one.kind == "ended":
        return Given(one, said, "2026-03-01" if said == "yes" else "2027-01-01")  # type: ignore[arg-type]
    return Given(one, said)  # type: ignore[arg-type]


def _kept(given: list[Given]) -> list[dict[str, Any]]:
    made = [response(given, PACK, WRITTEN), *facts(given, WRITTEN)]
    for one in made:
        validate(one)
    return [one | {"id": one.get("id") or f"new{n}"} for n, one in enumerate(made)]


def _patient(who: dict[str, Any], given: list[Given]) -> dict[str, Any]:
    for one in given:
        if one.asked.kind == "born":
            who = who | {"birthDate": one.day}
        if one.asked.kind == "sex":
            who = with_sex(who, "female")
            validate(who)
    return who


@pytest.mark.parametrize("said", ["yes", "no"])
@pytest.mark.parametrize("name", LEAVES)
def test_answering_any_question_about_a_risk_settles_it(name: str, said: str) -> None:
    one = Asked(name, PACK.risks[name].question, "boolean", "patient", False, ())
    for kept in (_kept([_given(one, said)]), [response([_given(one, said)], PACK, WRITTEN)]):
        chart = Chart(evidence(kept), person(patient(), TODAY), PACK, TODAY)
        assert held(Question(chart, PACK.rules[0]), name).value is (said == "yes")


@pytest.mark.parametrize("said", ["yes", "no"])
@pytest.mark.parametrize("name", PEOPLE)
def test_answering_what_is_asked_leaves_no_cannot_tell_for_it(name: str, said: str) -> None:
    who, held_already = PEOPLE[name]
    answered: set[str] = set()
    given: list[Given] = []
    for _ in range(6):
        due = every(*held_already, *(_kept(given) if given else ()), who=_patient(who, given))
        left = [one for one in questions(due, PACK) if one.id not in (*TASKS, "measure-bmi")]
        assert not {one.id for one in left} & answered
        given += [_given(one, said) for one in left]
        answered |= {one.id for one in left}
        if not left:
            break
    assert answered or name in ("problem in doubt", "raised sugar")
    assert not left


def test_between_them_these_people_are_asked_nearly_everything() -> None:
    asked = {
        one.id for who, more in PEOPLE.values() for one in questions(every(*more, who=who), PACK, again=True)
    }
    assert len(asked & set(ASKED)) >= len(ASKED) * 2 // 3
    assert {
        "pregnancy-end",
        "due-date",
        "birth-date",
        "sex",
        "organ-cervix",
        "measure-bmi",
        "confirm-problem",
    } <= asked


def test_every_question_that_a_rule_can_ask_has_a_way_to_be_answered() -> None:
    items = {item["linkId"] for item in whole(PACK)["item"]}
    assert set(LEAVES) <= items
    validate(whole(PACK))
    for who, more in PEOPLE.values():
        for one in questions(every(*more, who=who), PACK, again=True):
            assert one.id in items or (one.kind in ("task", "confirm") and (one.about or one.rules)), one.id


def _aaa(*kept: dict[str, Any], on: date = TODAY) -> Due:
    return next(one for one in every(*kept, who=PEOPLE["man of 67"][0], on=on) if one.rule == "aaa")


@pytest.mark.parametrize(
    ("said", "again"), [("unknown", date(2027, 5, 18)), ("declined", date(2027, 11, 18))]
)
def test_not_knowing_is_kept_and_not_asked_again_at_once(said: str, again: date) -> None:
    one = Asked("ever-smoked", "Have you ever smoked?", "boolean", "patient", False, ())
    kept = _kept([_given(one, said)])
    answer = _aaa(*kept)
    assert (answer.status, answer.next_change_on) == ("cannot-tell", again)
    assert "18-Nov-2026" in answer.why["because"]
    assert "ever-smoked" not in {q.id for q in questions([answer], PACK)}
    assert [(q.id, q.told["again"]) for q in unanswered([answer], PACK) if q.told] == [
        ("ever-smoked", again.isoformat())
    ]
    later = _aaa(*kept, on=again)
    assert "ever-smoked" in {q.id for q in questions([later], PACK)}


def test_never_smoked_is_said_as_us_core_says_it_and_settles_all_of_smoking() -> None:
    one = Asked("ever-smoked", "Have you ever smoked?", "boolean", "patient", False, ())
    kept = _kept([_given(one, "no")])
    assert {c["code"] for c in kept[1]["code"]["coding"]} == {"72166-2", "ever-smoked"}
    chart = Chart(evidence(kept), person(patient(), TODAY), PACK, TODAY)
    asked = Question(chart, PACK.rules[0])
    assert [held(asked, name).value for name in ("pack-years-20", "quit-under-15-years", "uses-tobacco")] == [
        False
    ] * 3


def test_correcting_the_observation_corrects_the_answer_and_retracting_the_response_retracts_it() -> None:
    one = Asked("tuberculosis-risk", "Q?", "boolean", "patient", False, ())
    qr, made = _kept([_given(one, "yes")])
    status = lambda *held: next(d.status for d in every(*held) if d.rule == "tuberculosis")  # noqa: E731
    assert status(qr, made) == "overdue"
    assert status(qr, made | {"valueBoolean": False, "status": "corrected"}) == "not-applicable"
    assert status(qr, made | {"status": "entered-in-error"}) == "cannot-tell"
    assert status(qr | {"status": "entered-in-error"}, made) == "cannot-tell"


def test_a_birth_ends_the_pregnancy_and_begins_the_time_after_it() -> None:
    one = Asked("pregnancy-end", "Is it over?", "ended", "patient", True, ())
    who = patient("1996-05-10")
    due = {
        d.rule: d.status
        for d in every(OLD_PREGNANCY, *_kept([Given(one, "yes", "2026-03-01", True)]), who=who)
    }
    lost = {
        d.rule: d.status for d in every(OLD_PREGNANCY, *_kept([Given(one, "yes", "2026-03-01")]), who=who)
    }
    assert due["breastfeeding"] not in ("cannot-tell", "not-applicable")
    assert lost["breastfeeding"] == "not-applicable"


def test_a_risk_in_the_record_is_not_asked() -> None:
    smoker = {
        "resourceType": "Observation", "id": "s", "status": "final", "code": concept(("http://loinc.org", "72166-2")),
        "effectiveDateTime": "2026-01-01", "valueCodeableConcept": concept((SCT, "449868002")),
    }  # fmt: skip
    due = assess(evidence([smoker]), person(PEOPLE["man of 67"][0], TODAY), PACK, TODAY)
    assert "ever-smoked" not in {one.id for one in questions(due, PACK)}
