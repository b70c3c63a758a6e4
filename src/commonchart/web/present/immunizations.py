"""The immunization section: forecast by urgency, doses by vaccine group with why each counts, what could be given today."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta

from msgspec import Struct

from commonchart.access.forecasts import Forecasted
from commonchart.access.lots import Lot
from commonchart.care.immunizations import risks, words
from commonchart.care.immunizations.answer import (
    NOT_COMPLETE,
    NOT_EVALUATED,
    VALID,
    Evaluated,
    Evaluation,
    Forecast,
)
from commonchart.care.immunizations.catch_up import Later, Plan
from commonchart.care.immunizations.compare import Comparison
from commonchart.care.immunizations.forecast import PAST_SEASON
from commonchart.care.immunizations.groups import standing
from commonchart.documents.vaccine_card import age, numbered

# state of a forecast -> mark, word
_STATES = {
    words.OVERDUE: ("overdue", "Overdue"), words.DUE: ("due", "Due"), words.POSSIBLE: ("soon", "May be given"),
    words.LATER: ("soon", "Later"), "contraindicated": ("not", "Contraindicated"), "aged out": ("not", "Too old for it"),
    "not recommended": ("not", "Not recommended"), "immune": ("done", "Immune"), "complete": ("done", "Complete"),
}  # fmt: skip
_QUIET = ("complete", "immune", "aged out", "not recommended")
SOON = timedelta(days=730)


class Next(Struct, frozen=True):
    """A row of the forecast. `open` rows ask for something."""

    group: str
    vaccine: str
    mark: str
    word: str
    when: str
    because: str
    open: bool


class Given(Struct, frozen=True):
    """A row of the history. `reasons` are said below the word; `key` is the resource's `Type/id`."""

    number: str
    day: str
    age: str
    vaccine: str
    mark: str
    word: str
    reasons: str
    key: str
    also: tuple[str, ...]


class Group(Struct, frozen=True):
    """The doses of one vaccine group, and where it stands."""

    name: str
    status: str
    doses: tuple[Given, ...]


class Offer(Struct, frozen=True):
    """A vaccine that could be given today: what it serves, and how many doses are on the shelf."""

    cvx: str
    name: str
    serves: str
    stock: str
    early: bool


def forecast(found: Forecasted) -> tuple[list[Next], list[Next]]:
    """What asks for something, most urgent first; and the rest."""
    rows = [_next(one, found) for group in found.answer.groups for one in _told(group.forecasts, group.shown)]
    order = {id(row): n for n, row in enumerate(rows)}
    days = sorted(rows, key=lambda row: (_rank(row), order[id(row)]))
    return [row for row in days if row.open], [row for row in days if not row.open]


def _told(forecasts: Sequence[Forecast], shown: Forecast | None) -> Iterator[Forecast]:
    """The forecast of a group to show first, then each other that still needs a dose and starts at this age."""
    if shown is not None:
        yield shown
    for one in forecasts:
        if one is not shown and one.status == NOT_COMPLETE and not one.future:
            yield one


def _rank(row: Next) -> int:
    order = ["Overdue", "Due", "Cannot tell", "Decide together", "May be given", "Contraindicated", "Later"]
    return order.index(row.word) if row.word in order else len(order)


def _next(found: Forecast, about: Forecasted) -> Next:
    state = words.state(found, about.answer.as_of)
    mark, word = _STATES.get(state, ("unknown", state.capitalize()))
    if found.why == PAST_SEASON or (_country(found, about) and state in (words.OVERDUE, words.DUE)):
        mark, word = "unknown", "Cannot tell"
    elif found.guidance and state in (words.OVERDUE, words.DUE, words.POSSIBLE):
        mark, word = "unknown", "Decide together"
    number = f", dose {found.number}" if found.number else ""
    return Next(
        found.group, f"{found.group}{number}", mark, word, _when(found, state), _because(found, about),
        word == "Cannot tell" or (state not in _QUIET and not found.future and not _far(found, about)),
    )  # fmt: skip


def _far(found: Forecast, about: Forecasted) -> bool:
    """Whether it is years until anything is to be done."""
    day = found.recommended or found.earliest
    return day is not None and day - about.answer.as_of > SOON


def later(plan: Plan) -> list[Later]:
    """What is not for today, as far as it comes within two years."""
    return [one for one in plan.later if one.day is None or one.day - plan.as_of <= SOON]


def _when(found: Forecast, state: str) -> str:
    day = found.recommended or found.earliest
    if state == words.OVERDUE and found.past_due:
        return f"since {words.day(found.past_due.toordinal() + 1)}"
    if state == words.DUE and day:
        return f"since {words.day(day)}"
    if state == words.POSSIBLE and day:
        return f"best from {words.day(day)}"
    if state == words.LATER and day:
        return f"from {words.day(day)}"
    return "–"


def _country(found: Forecast, about: Forecasted) -> str:
    """The country of birth that would decide, where nobody recorded it."""
    return risks.birth_country_decides(about.schedule, found.group, about.facts.person)


def _because(found: Forecast, about: Forecasted) -> str:
    schedule = about.schedule
    mapped = about.facts.mapped
    titles = [
        schedule.observations[code].title
        + (" (by our map of diagnoses, not reviewed)" if code in mapped else "")
        for code in (*found.because, *found.stopped_by)
    ]
    said = [", ".join(titles)] if titles else []
    if country := _country(found, about):
        said.append(f"ask the country of birth: at this age people born in {country} count as immune")
    if found.why == PAST_SEASON:
        said.append("the season in this schedule is over: a newer pack must say what is due now")
    elif found.why and not titles:
        said.append(found.why)
    if found.latest and found.latest < date.max and found.status == NOT_COMPLETE:
        said.append(f"at the latest {words.day(found.latest)}")
    said.append(" and ".join(found.series))
    return "; ".join(said)


def groups(found: Forecasted) -> list[Group]:
    """The history: vaccine groups in the order of the schedule, doses oldest first; only those that count are numbered."""
    out = []
    for answer in found.answer.groups:
        mine = [one for one in found.answer.doses if any(e.group == answer.group for e in one.evaluations)]
        if mine:
            where = [standing(one, answer.group, answer.shown) for one in mine]
            numbers = numbered([one is not None and one.status == VALID for one in where])
            rows = zip(mine, where, numbers, strict=True)
            status = words.forecast(answer.shown, found.answer.as_of, found.schedule) if answer.shown else ""
            out.append(Group(answer.group, status, tuple(_given(*row, found) for row in rows)))
    return [*out, *_apart(found)]


def _given(one: Evaluated, where: Evaluation | None, number: str, found: Forecasted) -> Given:
    dose, status = one.dose, where.status if where else NOT_EVALUATED
    said = [words.reason(reason, dose, found.schedule) for reason in where.reasons] if where else []
    mark, word = ("done", "Valid") if status == VALID else ("not", status.capitalize())
    source = found.facts.given.get(dose.id)
    return Given(
        number or "–", words.day(dose.on) if dose.on else (source.shown if source else "") or "day not known",
        age(found.facts.person.born, dose.on) if dose.on else "", words.vaccine(dose.cvx, found.schedule),
        mark, word, _sentence(said), dose.id, source.same_as if source else (),
    )  # fmt: skip


def _sentence(said: Sequence[str]) -> str:
    text = "; also ".join(said)
    return text[:1].upper() + text[1:]


def _apart(found: Forecasted) -> Iterator[Group]:
    """Doses that no series judged: those without a day, and vaccines against which no series applies."""
    judged = {one.dose.id for one in found.answer.doses if one.evaluations}
    rest = [dose for dose in found.facts.doses if dose.id not in judged]
    if rest:
        told = {one.dose: one.message for one in found.answer.findings if one.dose}
        rows = [
            Given(
                "–", words.day(dose.on) if dose.on else "day not known", "", words.vaccine(dose.cvx, found.schedule),
                "unknown", "Not judged", told.get(dose.id, "no series of this schedule is about it"), dose.id, (),
            )
            for dose in rest
        ]  # fmt: skip
        yield Group("Not judged", "cannot tell whether these count", tuple(rows))


def offers(plan: Plan, lots: Sequence[Lot], day: date) -> tuple[list[Offer], list[Offer]]:
    """What is due and could be given today, and what may be given early or after a shared decision."""
    stock = _stock(lots, day)
    return tuple(  # type: ignore[return-value]
        [
            Offer(
                give.cvx, give.name, _serves(give.groups, give.numbers), _shelf(give.cvx, stock), give.early
            )
            for give in gives
        ]
        for gives in (plan.today, plan.optional)
    )


def _stock(lots: Iterable[Lot], day: date) -> Mapping[str, int]:
    out: dict[str, int] = {}
    for lot in lots:
        if not lot.refused(day):
            out[lot.cvx] = out.get(lot.cvx, 0) + max(lot.doses, 0)
    return out


def _serves(groups: Sequence[str], numbers: Sequence[int]) -> str:
    return " and ".join(f"{group} dose {number}" for group, number in zip(groups, numbers, strict=True))


def _shelf(cvx: str, stock: Mapping[str, int]) -> str:
    return f"{stock[cvx]} in stock" if stock.get(cvx) else "none in stock"


def not_given(found: Forecasted) -> list[tuple[str, str, str, str]]:
    """Doses that were refused or not given: (vaccine, day, why and until when, `Type/id`)."""
    return [
        (
            words.vaccine(one.cvx, found.schedule) if one.cvx else "a vaccine without a code",
            words.day(one.on) if one.on else "day not known",
            (one.reason or "no reason recorded") + (f"; until {words.day(one.until)}" if one.until else ""),
            one.ref,
        )
        for one in found.facts.refusals
    ]


def unchecked(found: Forecasted) -> list[str]:
    """What could not be considered, each in a sentence: types withheld, data that is wrong, facts without a usable code."""
    withheld = [f"NOT CHECKED: {one} resources are not yours to see" for one in found.withheld]
    return [*withheld, *dict.fromkeys(one.message for one in found.answer.findings)]


def untold(found: Forecasted) -> list[tuple[str, str]]:
    """Risks that nobody recorded and that would change the forecast: (what to ask, for which vaccine groups)."""
    groups: dict[str, list[str]] = {}
    for group in found.schedule.groups:
        for one in risks.untold(
            found.schedule, group.name, found.facts.person, found.facts.observations, found.answer.as_of
        ):
            groups.setdefault(one.title, []).append(group.name)
    return [(title, ", ".join(names)) for title, names in sorted(groups.items())]


def differences(found: Comparison) -> list[tuple[str, str, str]]:
    """Where two schedules differ for the person: (what, by the first, by the second)."""
    rows = [(one.group, _short(one.a), _short(one.b)) for one in found.groups]
    doses = [
        (
            f"{one.antigen}: dose of {words.day(one.dose.on) if one.dose.on else 'an unknown day'}",
            one.a,
            one.b,
        )
        for one in found.doses
    ]
    return rows + doses


def _short(found: Forecast | None) -> str:
    if found is None:
        return "says nothing"
    if found.status != NOT_COMPLETE:
        return found.status
    day = found.recommended or found.earliest
    late = (
        f", past due after {words.day(found.past_due)}"
        if found.past_due and found.past_due < date.max
        else ""
    )
    return f"dose {found.number} from {words.day(day) if day else 'a day that cannot be told'}{late}"
