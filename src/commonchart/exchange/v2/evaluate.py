"""Z42 from our own engine: which doses of a history count, and what is next, by the schedule in use today."""

from __future__ import annotations

from collections.abc import Iterator

from commonchart.access import forecasts
from commonchart.access.forecasts import Forecasted
from commonchart.access.records import Records
from commonchart.care.immunizations import words
from commonchart.care.immunizations.answer import (
    AGED_OUT,
    COMPLETE,
    CONTRAINDICATED,
    IMMUNE,
    NOT_EVALUATED,
    NOT_RECOMMENDED,
    VALID,
)
from commonchart.care.immunizations.answer import Forecast as Found
from commonchart.care.immunizations.groups import standing
from commonchart.exchange.v2.answer import Evaluate
from commonchart.exchange.v2.history import History
from commonchart.exchange.v2.response import EvaluatedDose, Forecast, Status

Vaccine = tuple[str, str, str]

# CVX codes of a group without a formulation; a group that has none is named by its first vaccine
UNSPECIFIED = {
    "COVID-19": "213", "DTaP/Tdap/Td": "107", "HepA": "85", "HepB": "45", "Hib": "17", "HPV": "137", "Influenza": "88",
    "Japanese Encephalitis": "129", "Meningococcal": "108", "Meningococcal B": "164", "MMR": "03", "Pneumococcal": "152",
    "Polio": "89", "Rabies": "90", "Rotavirus": "122", "RSV": "304", "Typhoid": "91", "Varicella": "21",
    "Yellow Fever": "184", "Zoster": "188",
}  # fmt: skip
_STATUS: dict[str, Status] = {
    COMPLETE: "complete", IMMUNE: "immune", CONTRAINDICATED: "contraindicated", AGED_OUT: "too-old",
    NOT_RECOMMENDED: "not-recommended", words.OVERDUE: "overdue",
}  # fmt: skip


def by_schedule(records: Records) -> Evaluate:
    """What fills Z42 for queries that these records answer."""

    async def evaluate(whole: History) -> tuple[list[EvaluatedDose], list[Forecast]]:
        found = await forecasts.forecast(records, str(whole.patient["id"]), records.clock().date())
        return list(_evaluated(found)), list(_forecasts(found))

    return evaluate


def _evaluated(found: Forecasted) -> Iterator[EvaluatedDose]:
    """Each dose for each vaccine group that it belongs to; a record of the same dose as another counts with it."""
    for one in found.answer.doses:
        source = found.facts.given[one.dose.id]
        for group in dict.fromkeys(evaluation.group for evaluation in one.evaluations):
            shown = found.answer.group(group)
            where = standing(one, group, shown.shown if shown else None)
            if where is None or where.status == NOT_EVALUATED:
                continue
            for ref in (one.dose.id, *source.same_as):
                yield EvaluatedDose(
                    ref.partition("/")[2], _vaccine(group, found), where.status == VALID, where.target or None, None,
                    where.series, (found.schedule.name, found.schedule.said, "L"),
                    tuple(words.reason(reason, one.dose, found.schedule) for reason in where.reasons),
                )  # fmt: skip


def _forecasts(found: Forecasted) -> Iterator[Forecast]:
    """What is next of each group: the forecast that is shown first, future series left out."""
    for answer in found.answer.groups:
        shown = answer.shown
        if shown is None or shown.future:
            continue
        state = words.state(shown, found.answer.as_of)
        yield Forecast(
            _vaccine(answer.group, found), _STATUS.get(state, "on-schedule"), shown.number, None, shown.earliest,
            shown.recommended, shown.past_due, shown.latest, " and ".join(shown.series),
            (found.schedule.name, found.schedule.said, "L"), _reasons(shown, found),
        )  # fmt: skip


def _reasons(shown: Found, found: Forecasted) -> tuple[str, ...]:
    titles = (found.schedule.observations[code].title for code in (*shown.because, *shown.stopped_by))
    return (*([shown.why] if shown.why else []), *titles, *shown.guidance)


def _vaccine(group: str, found: Forecasted) -> Vaccine:
    answer = found.answer.group(group)
    own = answer.shown.products if answer and answer.shown else ()
    return UNSPECIFIED.get(group) or (own[0] if own else ""), group, "CVX"
