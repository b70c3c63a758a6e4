"""Small schedules as functions: one antigen and what a test is about, everything else plain."""

from __future__ import annotations

from datetime import date
from typing import Any

from commonchart.care.immunizations.answer import Assessment, Dose, Evaluation, Forecast, Observation, Person
from commonchart.care.immunizations.compile import Schedule, compiled
from commonchart.care.immunizations.evaluate import evaluate
from commonchart.care.immunizations.pack import checked
from commonchart.care.immunizations.schema import (
    AgeRow,
    AntigenFile,
    ConflictRow,
    CvxRow,
    DoseRow,
    GapRow,
    GroupRow,
    ObservationRow,
    Pack,
    PairRow,
    ScheduleFile,
    SeriesRow,
    Source,
    VaccineRow,
)

BORN = date(2020, 2, 29)
SOURCE = Source("Test", "1", "2026-01", "made for a test", "", "tests")
AGE = AgeRow(abs="12m-4d", min="12m", rec="12m")
GAP = GapRow("prev", abs="24d", min="28d", rec="8w")
LIVE = ConflictRow(("1d", "24d", "28d"), (PairRow(("03", "21"), ("03", "21")),))
CVX = {
    "03": CvxRow("MMR", (("Alpha", "", ""),)),
    "21": CvxRow("Varicella", (("Alpha", "", ""),)),
    "08": CvxRow("Hep B", (("Alpha", "", ""),)),
    "19": CvxRow("BCG", ()),
}
SEEN = {code: ObservationRow(f"Title {code}") for code in ("001", "002", "003", "120")}


def dose(**given: Any) -> DoseRow:
    """A dose of the list v1 at twelve months unless said otherwise."""
    return DoseRow(**{"age": (AGE,), "prefer": "v1"} | given)


def series(*doses: DoseRow, **given: Any) -> SeriesRow:
    """A standard default series."""
    plain: dict[str, Any] = {
        "name": "Alpha series",
        "kind": "standard",
        "group": "1",
        "default": True,
        "prefer": 1,
    }
    return SeriesRow(doses=doses or (dose(), dose(age=(), gap=(GAP,))), **plain | given)


def schedule(*rows: SeriesRow, **given: Any) -> Schedule:
    """The compiled schedule of one antigen, Alpha."""
    return compiled(checked(pack(*rows, **given)))


def pack(*rows: SeriesRow, conflicts: tuple[ConflictRow, ...] = (), **given: Any) -> Pack:
    """The same as a pack."""
    lists = given.pop("vaccines", {"v1": (VaccineRow("03", forecast=True), VaccineRow("08", forecast=True))})
    file = AntigenFile("Alpha", "Alpha", rows or (series(),), lists, **given)
    shared = ScheduleFile({"Alpha": GroupRow(("Alpha",))}, CVX, SEEN, conflicts)
    return Pack("made", SOURCE, shared, {"Alpha": file})


def given(*rows: tuple[str, date], **more: Any) -> list[Dose]:
    """Doses of (CVX, day), with ids 0, 1, ..."""
    return [Dose(str(n), cvx, on, **more) for n, (cvx, on) in enumerate(rows)]


def ask(made: Schedule, doses: list[Dose], as_of: date, *seen: Observation, **person: Any) -> Assessment:
    """The assessment of a girl born on 29 February."""
    return evaluate(Person(**{"born": BORN, "sex": "female"} | person), doses, list(seen), made, as_of)


def shown(answer: Assessment) -> Forecast:
    """The forecast that stands for the only group."""
    found = answer.groups[0].shown
    assert found is not None
    return found


def rows(answer: Assessment) -> list[Evaluation]:
    """The first evaluation of every dose."""
    return [one.evaluations[0] for one in answer.doses]


def kinds(row: Evaluation) -> list[str]:
    """The kinds of its reasons, the deciding one first."""
    return [reason.kind for reason in row.reasons]
