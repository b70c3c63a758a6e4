"""Z42 as a registry reads it: doses evaluated and the next forecast by the schedule in use."""

from __future__ import annotations

from datetime import date

import pytest

from commonchart.access import users
from commonchart.access.records import Records
from commonchart.care.immunizations import pack
from commonchart.exchange.v2.evaluate import UNSPECIFIED, by_schedule
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.exchange.v2.samples import dose, pid
from tests.exchange.v2.test_take import asked, qbp, taken


@pytest.fixture
def records(database: Database, clock: Clock) -> Records:
    return Records(database, users.system(1, "v2"), clock)


async def test_a_query_for_an_evaluated_history_is_answered_by_the_engine(records: Records) -> None:
    await taken(records, pid(), *dose())
    answer = (await asked(records, qbp("Z44"), evaluate=by_schedule(records))).answer
    assert answer.profile == "Z42"
    assert {one.schedule[0] for one in answer.evaluated} == {pack.BUILT_IN}
    forecasts = {one.vaccine[0]: one for one in answer.forecasts}
    mmr = forecasts["03"]
    assert mmr.status in ("on-schedule", "overdue", "complete")
    assert mmr.series
    late = [one for one in answer.forecasts if one.status == "overdue"]
    assert late
    assert all(one.overdue is not None and one.overdue < date(2026, 11, 18) for one in late)
    assert answer.notes == ()


def test_every_group_with_a_code_of_its_own_exists() -> None:
    groups = {group.name for group in pack.load().groups}
    assert set(UNSPECIFIED) <= groups
