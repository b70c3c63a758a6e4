"""The pre-visit questionnaire as a form: what was sent becomes answers; every error names its question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from commonchart.care.answers import Given
from commonchart.care.questions import Asked
from commonchart.fhir.outcome import Invalid, Issue
from commonchart.web.forms.fhir import author, subject
from commonchart.web.forms.fields import Context, Field, Values, options, parse_fields, problem
from commonchart.web.forms.measurements import VITALS_FORM

INFORMANTS = options(
    "patient=The patient", "parent=A parent or guardian", "proxy=Somebody who helps the patient", "staff=The record, or the staff",
)  # fmt: skip
SAID = options("yes=Yes", "no=No", "unknown=Does not know", "declined=Would rather not say")
UNSAID = options("unknown=Not known", "declined=Would rather not say")
ENDED = options(
    "yes=Yes, it is over", "no=No, it goes on", "unknown=Does not know", "declined=Would rather not say",
)  # fmt: skip
SEXES = options("female=Female", "male=Male", "unknown=Not known")
TRUE = options("yes=Confirmed", "no=Ruled out")
WHO = Field("who", "Who answered", "choice", required=True, options=INFORMANTS)


def fields(one: Asked) -> tuple[Field, ...]:
    """The fields of one question; none for a task, which is done elsewhere."""
    says, day = f"a-{one.id}", f"d-{one.id}"
    if one.kind == "boolean":
        return (Field(says, one.text, "choice", options=SAID),)
    if one.kind == "date":
        return (Field(day, one.text, "date", future=True), Field(says, "Or", "choice", options=UNSAID))
    if one.kind == "born":
        return (Field(day, "Date of birth", "date"), Field(says, "Or", "choice", options=UNSAID[:1]))
    if one.kind == "ended":
        born = Field("b-pregnancy-end", "It ended with a birth", "tick")
        return (
            Field(says, one.text, "choice", options=ENDED),
            Field(day, "It ended on, or the baby is due on", "date", future=True),
            born,
        )
    if one.kind == "sex":
        return (Field(says, one.text, "choice", options=SEXES),)
    if one.kind == "body":
        return tuple(field for field in VITALS_FORM.fields if field.name in ("weight", "height"))
    if one.kind == "confirm":
        return tuple(Field(f"c-{id}", words, "choice", options=TRUE) for id, words in conditions(one))
    return ()


def conditions(one: Asked) -> list[tuple[str, str]]:
    """(id, words) of the problems to be confirmed or ruled out."""
    return [(link.split("/")[1], words) for words, link in one.about if link.startswith("Condition/")]


def parsed(asked: Sequence[Asked], sent: Mapping[str, str], context: Context) -> tuple[Values, list[Given]]:
    """What was typed, and the answers in it. Raises Invalid with an issue per bad field, and where nothing was answered."""
    values = parse_fields((WHO, *(field for one in asked for field in fields(one))), sent, context)
    issues = [issue for one in asked for issue in _wrong(one, values, context)]
    if issues:
        raise Invalid(issues=issues)
    given = [found for one in asked if (found := _given(one, values)) is not None]
    if not given and not any(value for name, value in values.items() if name.startswith("c-")):
        raise Invalid("Answer at least one question", at="")
    return values, given


def _given(one: Asked, values: Values) -> Given | None:
    said, day = values.get(f"a-{one.id}", ""), values.get(f"d-{one.id}", "")
    if one.kind == "body":
        weight, height = values["weight"], values["height"]
        return Given(one, "yes", f"{weight} kg, {height} cm") if weight else None
    if one.kind == "sex":
        return Given(one, "unknown") if said == "unknown" else Given(one, "yes", said) if said else None
    if one.kind in ("date", "born"):
        return Given(one, "yes", day) if day else Given(one, said) if said else None  # type: ignore[arg-type]
    if one.kind in ("boolean", "ended") and said:
        return Given(one, said, day, values.get("b-pregnancy-end") == "yes")  # type: ignore[arg-type]
    return None


def _wrong(one: Asked, values: Values, context: Context) -> Iterator[Issue]:
    said, day = values.get(f"a-{one.id}", ""), values.get(f"d-{one.id}", "")
    if one.kind == "body" and bool(values["weight"]) != bool(values["height"]):
        missing = "height" if values["weight"] else "weight"
        yield problem(missing, f"Enter the {missing} too: the body mass index needs both")
    if one.kind in ("date", "born") and day and len(day) != 10:
        yield problem(f"d-{one.id}", "Enter the whole date, such as 2027-03-31")
    if one.kind == "ended" and said in ("yes", "no"):
        yield from _wrong_end(one, said, day, context)


def _wrong_end(one: Asked, said: str, day: str, context: Context) -> Iterator[Issue]:
    today = context.now.date().isoformat()
    if len(day) != 10:
        yield problem(
            f"d-{one.id}", "Enter the day it ended" if said == "yes" else "Enter the day the baby is due"
        )
    elif said == "yes" and day > today:
        yield problem(f"d-{one.id}", "The day it ended must not be in the future")


def informant(who: str, context: Context) -> dict[str, Any]:
    """Whose words the answers are, as a Reference."""
    if who == "patient":
        return subject(context)
    if who == "staff":
        return author(context)
    return {"display": next(one.label for one in INFORMANTS if one.value == who)}


def measured(values: Values, context: Context, response: str) -> list[dict[str, Any]]:
    """Weight, height and body mass index, derived from the response."""
    typed = {field.name: "" for field in VITALS_FORM.fields} | {
        "weight": values["weight"], "height": values["height"], "when": context.now.isoformat(timespec="seconds"),
    }  # fmt: skip
    source = {"derivedFrom": [{"reference": f"QuestionnaireResponse/{response}"}]}
    return [one | source for one in VITALS_FORM.build(typed, context, None)]
