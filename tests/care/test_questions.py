"""What cannot be told becomes questions; answering settles them."""

from __future__ import annotations

from typing import Any

from commonchart.care.assess import Due
from commonchart.care.facts import QUESTIONNAIRE
from commonchart.care.questions import PRE_VISIT, questionnaire, questions
from commonchart.care.rules import built_in
from commonchart.fhir.validate import validate
from tests.care.cases import DIABETES, TODAY, condition, every, observation, patient

PACK = built_in()
MAN = patient("1956-01-01", "male")


def _ids(due: list[Due], audience: str) -> set[str]:
    return {one.id for one in questions(due, PACK) if one.audience == audience}


def _response(asked: dict[str, Any], **answers: bool) -> dict[str, Any]:
    items = [
        {"linkId": item["linkId"], "text": item["text"], "answer": [{"valueBoolean": answers.get(item["linkId"].replace("-", "_"), False)}]}
        for item in asked["item"] if item["type"] == "boolean"
    ]  # fmt: skip
    return {
        "resourceType": "QuestionnaireResponse", "id": "qr", "status": "completed", "questionnaire": asked["url"], "authored": str(TODAY),
        "item": items,
    }  # fmt: skip


def test_every_cannot_tell_has_a_question_for_somebody() -> None:
    due = every(
        condition(text="Sugar trouble"),
        condition(DIABETES),
        observation("4548-4", "2026-10-01", 8, ""),
        who=patient(sex=""),
    )
    asked = {rule for one in questions(due, PACK) for rule in one.rules}
    assert {one.rule for one in due if one.status == "cannot-tell"} <= asked


def test_the_questionnaire_is_valid_and_has_each_question_once() -> None:
    asked = questionnaire(every(who=MAN), PACK, TODAY)
    assert asked is not None
    validate(asked)
    ids = [item["linkId"] for item in asked["item"]]
    assert len(ids) == len(set(ids))
    assert {"ever-smoked", "tuberculosis-risk"} <= set(ids)
    assert all(item["text"].endswith("?") for item in asked["item"])


def test_answering_it_settles_every_question_of_it() -> None:
    asked = questionnaire(every(who=MAN), PACK, TODAY)
    assert asked is not None
    answer = _response(asked, ever_smoked=True)
    validate(answer)
    after = every(answer, who=MAN)
    left = _ids(after, "patient") & {item["linkId"] for item in asked["item"]}
    assert left == set()
    states = {one.rule: one.status for one in after}
    assert (states["aaa"], states["tuberculosis"]) == ("overdue", "not-applicable")


def test_answers_to_another_questionnaire_settle_nothing() -> None:
    asked = questionnaire(every(who=MAN), PACK, TODAY)
    assert asked is not None
    foreign = _response(asked, ever_smoked=True) | {"questionnaire": "https://elsewhere.example/q"}
    assert {one.rule: one.status for one in every(foreign, who=MAN)}["aaa"] == "cannot-tell"
    unfinished = _response(asked, ever_smoked=True) | {"status": "in-progress"}
    assert {one.rule: one.status for one in every(unfinished, who=MAN)}["aaa"] == "cannot-tell"


def test_a_proxy_is_never_asked_what_is_sensitive() -> None:
    due = every(who=patient("2009-01-01"))
    mine, theirs = questionnaire(due, PACK, TODAY), questionnaire(due, PACK, TODAY, proxy=True)
    assert mine is not None
    sensitive = {"hiv-risk", "sexually-active"}
    assert sensitive <= {item["linkId"] for item in mine["item"]}
    assert not sensitive & {item["linkId"] for item in (theirs or {"item": []})["item"]}


def test_what_only_the_staff_can_answer_is_not_asked_of_the_patient() -> None:
    due = every(condition(DIABETES), observation("4548-4", "2026-10-01", 8, ""))
    assert "read-result" in _ids(due, "staff")
    assert "read-result" not in _ids(due, "patient")


def test_nothing_to_ask_is_no_questionnaire() -> None:
    assert questionnaire([], PACK, TODAY) is None
    assert PRE_VISIT.startswith(QUESTIONNAIRE)
