"""The questions that rules wait for, answered by the patient at home: kept exactly as the practice would keep them."""

from __future__ import annotations

from starlette.responses import Response

from commonchart.access import rules
from commonchart.access.due import standing
from commonchart.access.records import Create, Put
from commonchart.access.writes import Wanted, new_id
from commonchart.care import answers, questions
from commonchart.care.answers import Written
from commonchart.fhir.outcome import Refused
from commonchart.fhir.validate import validate
from commonchart.web.call import go
from commonchart.web.clinician.writing import context_of, texts
from commonchart.web.forms import questions as forms
from commonchart.web.portal.door import Door
from commonchart.web.portal.due import asked_of

YES_OR_NO = "boolean"


async def page(me: Door) -> Response:
    """Every question that this person may answer."""
    return _page(me, await _asked(me), {}, [])


async def _asked(me: Door) -> list[questions.Asked]:
    found, pack = await standing(me.records, me.patient), await rules.in_use(me.records)
    return [one for one in asked_of(me, found, pack) if one.kind == YES_OR_NO]


async def answer(me: Door) -> Response:
    """Keep the answers and what derives from them, in one transaction."""
    asked, sent = await _asked(me), await texts(me.call)
    context = context_of(me.call, me.patient)
    try:
        who = "patient" if me.acting is None else "parent" if me.acting.proxy.kind == "parent" else "proxy"
        _, given = forms.parsed(asked, dict(sent) | {"who": who}, context)
        id = new_id(me.call.now)
        informant = forms.informant(who, context)
        written = Written(me.patient, me.call.now, informant, informant, id)
        pack = await rules.in_use(me.records)
        whole = questions.whole(pack)
        wanted: list[Wanted] = [
            Put(validate(whole), whole["id"], skip_unchanged=True),
            Put(validate(answers.response(given, pack, written)), id, must_be_new=True),
            *(Create(validate(one)) for one in answers.facts(given, written)),
        ]
        async with me.records.transaction() as tx:
            await tx.write_own(wanted)
    except Refused as refusal:
        if refusal.status != 422:
            raise
        issues = [(issue.at or "", issue.message) for issue in refusal.issues]
        return _page(me, asked, sent, issues, 422)
    return go(f"{me.base}/due?said=answered")


def _page(
    me: Door,
    asked: list[questions.Asked],
    sent: dict[str, str],
    issues: list[tuple[str, str]],
    status: int = 200,
) -> Response:
    shown = [(one, forms.fields(one)[0]) for one in asked]
    return me.page(
        "questions.html", me.whose("Some questions for you", "Some questions about {name}"), status, asked=shown,
        sent=sent, issues=issues, errors={at: words for at, words in issues if at},
    )  # fmt: skip
