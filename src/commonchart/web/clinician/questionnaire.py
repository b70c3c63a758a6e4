"""The pre-visit questionnaire of one patient: what rules cannot tell, asked once, and settled by the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from commonchart.access import rules
from commonchart.access.due import Standing, standing
from commonchart.access.records import Create, Put
from commonchart.access.writes import Wanted, new_id
from commonchart.care import answers, questions
from commonchart.care.answers import Given, Written
from commonchart.care.assess import Due
from commonchart.care.questions import Asked
from commonchart.care.schema import Pack
from commonchart.fhir.outcome import Forbidden, Refused
from commonchart.fhir.validate import validate
from commonchart.record.due import DueRow
from commonchart.web.call import Call, go
from commonchart.web.clinician.chart import Chart, opened
from commonchart.web.clinician.provenance import version
from commonchart.web.clinician.writing import context_of, texts
from commonchart.web.forms import questions as forms
from commonchart.web.forms.fhir import author
from commonchart.web.forms.fields import Context, Field, Values
from commonchart.web.present import dates

_UNSAID = {"asked-unknown": "not known", "asked-declined": "would rather not say"}


async def page(call: Call) -> Response:
    """The questions by group; `?paper=yes` is the sheet for the patient, `?proxy=yes` without what is sensitive."""
    chart, found, pack = await _opened(call)
    asked = _questions(call, found, pack)
    if call.request.query_params.get("paper") == "yes":
        return _paper(chart, asked)
    return _page(chart, found, pack, asked, {}, [])


async def answer(call: Call) -> Response:
    """Keep the answers, and what derives from them, in one transaction."""
    chart, found, pack = await _opened(call)
    if not chart.may_write or not call.may("create", "QuestionnaireResponse"):
        raise Forbidden("Your role does not allow you to record answers")
    asked, sent = questions.questions(_due(found), pack, again=True), await texts(call)
    try:
        context = context_of(call, chart.id)
        values, given = forms.parsed(asked, sent, context)
        response, wanted = await _wanted(chart, pack, values, given, context)
        await call.records.commit(wanted)
    except Refused as refusal:
        return _page(chart, found, pack, asked, sent, _issues(refusal, asked), refusal.status)
    saved = f"?saved=QuestionnaireResponse/{response}" if given else ""
    return go(f"/patients/{chart.id}/due{saved}")


async def _opened(call: Call) -> tuple[Chart, Standing, Pack]:
    if not call.may("read", "Condition"):
        raise Forbidden("Your role does not allow you to see due lists")
    chart = await opened(call, "due", rail=False)
    return chart, await standing(call.records, chart.id), await rules.in_use(call.records)


def _questions(call: Call, found: Standing, pack: Pack) -> list[Asked]:
    again = call.request.query_params.get("again") == "yes"
    asked = questions.questions(_due(found), pack, again=again)
    return [one for one in asked if not (one.sensitive and call.request.query_params.get("proxy") == "yes")]


def _due(found: Standing) -> list[Due]:
    return [as_due(row) for row in found.rows if row.kind != "immunization"]


def as_due(row: DueRow) -> Due:
    """A stored row as the rules made it."""
    why = msgspec.json.decode(row.why)
    return Due(
        row.rule, row.kind, row.title, row.status, row.due_on, row.overdue_on, row.until, row.next_change_on, why, row.pack, row.version,
    )  # fmt: skip


# ---- writing ---------------------------------------------------------------------------------------------------


async def _wanted(
    chart: Chart, pack: Pack, values: Values, given: Sequence[Given], context: Context
) -> tuple[str, list[Wanted]]:
    """The id of the response, and everything to be stored: questionnaire, response, facts, the patient, confirmed problems."""
    id = new_id(context.now)
    written = Written(chart.id, context.now, author(context), forms.informant(values["who"], context), id)
    out: list[Wanted] = []
    if given:
        asked = questions.whole(pack)
        response = answers.response(given, pack, written)
        out += [
            Put(validate(asked), asked["id"], skip_unchanged=True),
            Put(validate(response), id, must_be_new=True),
        ]
    facts = answers.facts(given, written)
    if values.get("weight"):
        facts += forms.measured(values, context, id)
    out += [Create(validate(one)) for one in facts]
    return id, [*out, *_patient(chart, given), *await _confirmed(chart, values)]


def _patient(chart: Chart, given: Sequence[Given]) -> list[Wanted]:
    """The Patient with the date of birth and the sex that were answered, if any."""
    body: dict[str, Any] = chart.patient.body
    changed = body
    for one in given:
        if one.asked.kind == "born" and one.day:
            changed = changed | {"birthDate": one.day}
        elif one.asked.kind == "sex" and one.day in ("female", "male"):
            changed = answers.with_sex(changed, one.day)  # type: ignore[arg-type]
    return [] if changed is body else [Put(validate(changed), chart.patient.id, if_match=chart.patient.vid)]


async def _confirmed(chart: Chart, values: Values) -> list[Wanted]:
    out: list[Wanted] = []
    for name, said in values.items():
        if name.startswith("c-") and said:
            fact = await version(chart, "Condition", name[2:])
            body = answers.confirmed(fact.body, said == "yes")
            out.append(Put(validate(body), fact.id, if_match=fact.vid))
    return out


# ---- showing ---------------------------------------------------------------------------------------------------


def _page(
    chart: Chart,
    found: Standing,
    pack: Pack,
    asked: Sequence[Asked],
    values: Mapping[str, str],
    issues: list[tuple[str, str]],
    status: int = 200,
) -> Response:
    told = questions.unanswered(_due(found), pack)
    return chart.page(
        "chart/questionnaire.html", "Questions before the visit", status, groups=_groups(asked), values=values, issues=issues,
        errors={at: message for at, message in reversed(issues) if at}, who=forms.WHO, behind=found.waiting, empty=_empty(found),
        told=[(one.text, _UNSAID[one.told["answer"]], dates.day(one.told["when"]), dates.day(one.told["again"])) for one in told if one.told],
        again=chart.call.request.query_params.get("again") == "yes", links=_links, proxy=chart.call.request.query_params.get("proxy") == "yes",
    )  # fmt: skip


def _empty(found: Standing) -> str:
    return (
        "Nothing is to be asked: no rule waits for an answer."
        if found.rows
        else "NOT CHECKED: the due list of this patient has not been worked out yet."
    )


def _groups(asked: Sequence[Asked]) -> list[tuple[str, list[tuple[Asked, tuple[Field, ...]]]]]:
    out: dict[str, list[tuple[Asked, tuple[Field, ...]]]] = {}
    for one in asked:
        out.setdefault(one.group, []).append((one, forms.fields(one)))
    return list(out.items())


def _links(one: Asked) -> list[tuple[str, str]]:
    """(path under the patient, words) where a task is done."""
    if one.id == "set-interval":
        return [(f"due/{rule}/interval", title) for rule, title in zip(one.rules, one.titles, strict=True)]
    paths = [(f"edit/{link}", words) for words, link in one.about if link.split("/")[0] in _EDITED]
    return paths or [(f"due/{rule}", title) for rule, title in zip(one.rules, one.titles, strict=True)]


_EDITED = ("Condition", "MedicationRequest", "MedicationStatement", "Observation", "Procedure")


def _issues(refusal: Refused, asked: Sequence[Asked]) -> list[tuple[str, str]]:
    known = {"who", *(field.name for one in asked for field in forms.fields(one))}
    return [(issue.at if issue.at in known else "", issue.message) for issue in refusal.issues]


def _paper(chart: Chart, asked: Sequence[Asked]) -> Response:
    """The sheet for the patient: only what a patient can answer, in large type."""
    theirs = [one for one in asked if one.audience == "patient"]
    return chart.call.page(
        "questionnaire-paper.html", title="Questions before your visit", asked=theirs, name=chart.banner.name, born=chart.banner.born,
        back=f"/patients/{chart.id}/questionnaire", site_name=chart.call.site.name, proxy=chart.call.request.query_params.get("proxy") == "yes",
    )  # fmt: skip
