"""The registry and the lists beside it: counts are those of the rows, whoever may not see a fact sees nothing made of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from commonchart.access import conditions, dashboard, deferral, due, views
from commonchart.access.actors import Actor
from commonchart.access.conditions import CHIPS
from commonchart.access.dashboard import Line
from commonchart.access.deferral import Deferring
from commonchart.access.due import OPEN, ORDER, SORTS, Filters, RegistryRow, registry
from commonchart.access.records import Put, Records
from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Forbidden, Invalid, NotFound, TooCostly
from commonchart.fhir.validate import validate
from commonchart.jobs import panel as counting
from commonchart.jobs import worker
from commonchart.record import panel
from commonchart.record.database import Database
from commonchart.search.visible import Visible
from tests.conftest import Clock
from tests.panels import TERM, a1c, panel_people, person, problem, put

SAGE = Actor(1, "sage", "Sage", "clinician", "alder", "test", network=False)


@pytest.fixture
async def records(database: Database, clock: Clock) -> Records:
    await put(database, clock, *panel_people())
    return Records(database, SAGE, clock)


async def everything(records: Records) -> list[RegistryRow]:
    """Every row there is, by the plainest question."""
    found = await registry(records, Filters(statuses=ORDER), as_of=records.clock().date(), limit=5000)
    assert len(found.rows) == found.total
    return list(found.rows)


def age_of(row: RegistryRow, today: Any) -> int:
    born = datetime.fromisoformat(json.loads(row.patient.body or b"{}")["birthDate"]).date()
    return int(today.year - born.year - ((today.month, today.day) < (born.month, born.day)))


def fits(row: RegistryRow, f: Filters, today: Any) -> bool:
    """By brute force what the statements should say, whatever the status."""
    body = json.loads(row.patient.body or b"{}")
    within = "out" if row.due.within == "alert" else row.due.within
    return (
        (not f.rule or row.due.rule == f.rule)
        and (not f.within or within == f.within)
        and (f.min_age is None or age_of(row, today) >= f.min_age)
        and (f.max_age is None or age_of(row, today) <= f.max_age)
        and (not f.sex or body["gender"] == f.sex)
        and (not f.clinician or body["generalPractitioner"][0]["reference"] == f"Practitioner/{f.clinician}")
        and (not f.text or f"person-{f.text}" in body["name"][0]["family"].lower())
    )


def urgent(row: RegistryRow) -> bool:
    return row.due.status == "overdue" or row.due.within in ("out", "alert")


FILTERS = st.builds(
    Filters,
    rule=st.sampled_from(["", "", "a1c", "blood-pressure", "eye-diabetes", "no-such-rule"]),
    statuses=st.one_of(
        st.just(OPEN), st.just(ORDER), st.lists(st.sampled_from(ORDER), min_size=1, max_size=3, unique=True).map(tuple)
    ),
    min_age=st.sampled_from([None, None, 50, 56, 57]),
    max_age=st.sampled_from([None, None, 55, 56, 76]),
    sex=st.sampled_from(["", "", "male", "female"]),
    clinician=st.sampled_from(["", "", "wrenfield", "other"]),
    within=st.sampled_from(["", "", "in", "out", "none"]),
    attention=st.booleans(),
    sort=st.sampled_from([*SORTS, *(f"-{name}" for name in SORTS)]),
)  # fmt: skip


@pytest.mark.parametrize("many", [0, 2000])
async def test_the_counts_are_those_of_the_rows(
    records: Records, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For any filter: statuses, attention, ranges and total are what counting the rows one by one gives, found either way."""
    monkeypatch.setattr(due, "MANY", many)
    every = await everything(records)
    today = records.clock().date()
    loop_safe: list[tuple[Filters, Any]] = []

    @settings(max_examples=60, suppress_health_check=list(HealthCheck), database=None)
    @given(FILTERS)
    def collect(filters: Filters) -> None:
        loop_safe.append((filters, None))

    collect()
    for filters, _ in loop_safe:
        found = await registry(records, filters, as_of=today, limit=1000)
        fitting = [row for row in every if fits(row, filters, today)]
        shown = [
            row
            for row in fitting
            if (urgent(row) if filters.attention else row.due.status in filters.statuses)
        ]
        assert found.statuses == {s: sum(row.due.status == s for row in fitting) for s in ORDER}, filters
        assert found.attention == sum(map(urgent, fitting)), filters
        assert found.total == len(shown) == len(found.rows), filters
        keys = [(row.due.patient, row.due.rule) for row in found.rows]
        assert sorted(keys) == sorted((row.due.patient, row.due.rule) for row in shown), filters
        if filters.rule:
            for one in ("in", "out", "none"):
                n = sum(
                    row.due.within == one or (one == "out" and row.due.within == "alert") for row in shown
                )
                assert found.ranges[one] == n, filters


async def test_pages_follow_each_other_without_gap_or_repetition(records: Records) -> None:
    today = records.clock().date()
    for sort in (*SORTS, *(f"-{name}" for name in SORTS)):
        filters, keys = Filters(statuses=ORDER, sort=sort), []
        total = (await registry(records, filters, as_of=today, limit=1)).total
        for offset in range(0, total, 37):
            found = await registry(records, filters, as_of=today, limit=37, offset=offset)
            keys += [(row.due.patient, row.due.rule) for row in found.rows]
        assert len(keys) == len(set(keys)) == total


async def test_the_order_is_the_one_asked_for(records: Records) -> None:
    today = records.clock().date()
    found = await registry(records, Filters(rule="a1c", statuses=ORDER, sort="last"), as_of=today)
    days = [row.due.last_on for row in found.rows if row.due.last_on]
    assert days == sorted(days)
    assert days
    by_urgency = await registry(records, Filters(rule="a1c", statuses=ORDER), as_of=today)
    ranks = [ORDER.index(row.due.status) for row in by_urgency.rows]
    assert ranks == sorted(ranks)
    names = await registry(records, Filters(rule="a1c", statuses=ORDER, sort="-name"), as_of=today)
    assert [row.due.patient for row in names.rows] == ["odd", "none", "late", "high", "good", "alarm"]


async def test_a_selection_is_exactly_that(records: Records) -> None:
    today = records.clock().date()
    picked = Filters(statuses=ORDER, picked=(("good", "a1c"), ("high", "blood-pressure"), ("ghost", "a1c")))
    assert await due.selected(records, picked, as_of=today, limit=10) == {
        "good": ("a1c",),
        "high": ("blood-pressure",),
    }


async def test_a_page_too_far_is_refused(records: Records) -> None:
    with pytest.raises(TooCostly):
        await registry(records, Filters(), as_of=records.clock().date(), offset=due.MOST_ROWS)


async def test_taking_out_is_in_the_audit_trail_with_everybody(records: Records) -> None:
    rows = await due.exported(
        records, Filters(rule="a1c", statuses=ORDER), as_of=records.clock().date(), limit=100
    )
    async with records.database.single() as conn:
        found = await conn.fetch("SELECT patients FROM audit WHERE action = 'export-registry'")
    assert found == [(sorted({row.due.patient for row in rows}),)]
    with pytest.raises(TooCostly):
        await due.exported(records, Filters(statuses=ORDER), as_of=records.clock().date(), limit=3)


# ---- condition registries --------------------------------------------------------------------------------------


async def test_a_condition_registry_counts_its_rows(records: Records) -> None:
    today = records.clock().date()
    for sort in ("", "name", "-born", "a1c", "-a1c", "eye", "control", "due"):
        for chip in CHIPS:
            asked = conditions.Asked("diabetes", chip, sort=sort)  # type: ignore[arg-type]
            found = await conditions.listed(records, asked, as_of=today, limit=100, offset=0)
            assert found.total == len(found.members)
    found = await conditions.listed(records, conditions.Asked("diabetes"), as_of=today, limit=100, offset=0)
    assert found.members[0].patient.id == "alarm"
    assert found.members[1].patient.id == "high"
    assert found.control == (
        2,
        4,
        6,
    )  # good and late in range; high and alarm out; odd and none without a value that counts
    assert (await conditions.members(records))["diabetes"] == 6


async def test_sorting_by_a_parameter_puts_none_last(records: Records) -> None:
    asked = conditions.Asked("diabetes", "all", sort="-a1c")
    found = await conditions.listed(records, asked, as_of=records.clock().date(), limit=100, offset=0)
    texts = [one.cells["a1c"].text for one in found.members]
    assert texts == ["11.2", "8.1", "6.8", "6.5", "6.4", ""]


async def test_opening_runs_no_rule(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    from commonchart.care import assess

    monkeypatch.setattr(assess, "answers", None)
    monkeypatch.setattr(assess, "assess", None)
    today = records.clock().date()
    await registry(records, Filters(), as_of=today)
    await conditions.listed(records, conditions.Asked("diabetes"), as_of=today, limit=20, offset=0)
    await dashboard.panel_of(records, dashboard.Asked())


async def test_the_rows_follow_the_record(records: Records, clock: Clock) -> None:
    await put(records.database, clock, a1c("high", "6.2", "2026-11-17", n=2))
    asked = conditions.Asked("diabetes", "all")
    found = await conditions.listed(records, asked, as_of=clock().date(), limit=100, offset=0)
    assert next(one for one in found.members if one.patient.id == "high").cells["a1c"].within == "in"
    gone = problem("high") | {
        "verificationStatus": {
            "coding": [{"system": TERM + "condition-ver-status", "code": "entered-in-error"}]
        },
        "clinicalStatus": None,
    }
    await put(records.database, clock, {name: value for name, value in gone.items() if value})
    assert (await conditions.members(records))["diabetes"] == 5
    await put(records.database, clock, person("alarm", deceasedBoolean=True))
    assert (await conditions.members(records))["diabetes"] == 4


# ---- what is withheld ------------------------------------------------------------------------------------------


def limited(records: Records, clock: Clock, hidden: str) -> Records:
    """The same person, who may not see one type."""
    made = Records(records.database, SAGE, clock)
    types = frozenset(r4().resource_types) - {hidden}
    made.visible = Visible(1, everything=True, types=types)
    return made


async def test_nothing_made_of_a_withheld_fact_is_told(records: Records, clock: Clock) -> None:
    """Everybody of whom a fact that rules read is hidden is on no list, in no count, in no series."""
    today, few = clock().date(), limited(records, clock, "Observation")
    found = await registry(few, Filters(statuses=ORDER), as_of=today, limit=1000)
    assert {row.due.patient for row in found.rows} == {"none", "healthy"}
    assert sum(found.statuses.values()) == found.total == len(found.rows)
    assert not found.whole
    assert sum(n or 0 for _, _, n in found.rules) == sum(
        row.due.status in ("overdue", "due") for row in found.rows
    )
    by_rule = await registry(few, Filters(rule="a1c", statuses=ORDER), as_of=today)
    assert [row.due.patient for row in by_rule.rows] == ["none"]
    assert by_rule.total == sum(by_rule.statuses.values()) == 1
    assert set(await due.selected(few, Filters(statuses=ORDER), as_of=today, limit=50)) == {"none", "healthy"}
    listed = await conditions.listed(
        few, conditions.Asked("diabetes", "all"), as_of=today, limit=20, offset=0
    )
    assert [one.patient.id for one in listed.members] == ["none"]
    assert listed.control == (0, 0, 1)
    assert (await conditions.members(few))["diabetes"] == 1
    board = await dashboard.panel_of(few, dashboard.Asked())
    assert board.since is None
    assert not board.history
    assert next(line for line in board.rules if line.key == "a1c").asked == 1
    assert [
        one.due.patient
        for one in await due.exported(few, Filters(rule="a1c", statuses=ORDER), as_of=today, limit=9)
    ] == ["none"]


async def test_a_fact_of_a_linked_record_hides_too(records: Records, clock: Clock) -> None:
    async with records.database.connection() as conn:
        for patient in ("none", "good"):
            await conn.execute(
                "INSERT INTO person_link (tenant, patient, person, linked_at, actor, reason) VALUES (1, %s, 'p', %s, 't', 't')",
                (patient, clock()),
            )
    few = limited(records, clock, "Observation")
    found = await registry(few, Filters(statuses=ORDER), as_of=clock().date(), limit=1000)
    assert {row.due.patient for row in found.rows} == {"healthy"}


async def test_nobody_else_gets_a_list(records: Records, clock: Clock) -> None:
    today = clock().date()
    desk = Records(records.database, replace(SAGE, role="front-desk"), clock)
    ada = Records(records.database, replace(SAGE, role="patient", patient="good"), clock)
    for who, refusal in ((desk, Forbidden), (ada, NotFound)):
        with pytest.raises(refusal):
            await registry(who, Filters(), as_of=today)
        with pytest.raises(refusal):
            await conditions.listed(who, conditions.Asked("diabetes"), as_of=today, limit=1, offset=0)
        with pytest.raises(refusal):
            await dashboard.panel_of(who, dashboard.Asked())
        with pytest.raises(refusal):
            await views.save(who, "Mine", Filters(), shared=False)


async def test_another_tenant_is_another_world(records: Records, clock: Clock) -> None:
    other = Records(records.database, replace(SAGE, tenant=2), clock)
    found = await registry(other, Filters(statuses=ORDER), as_of=clock().date())
    assert found.total == sum(found.statuses.values()) == 0
    assert found.rules == ()


# ---- saved filters ---------------------------------------------------------------------------------------------


async def test_a_saved_filter_is_shared_renamed_deleted_and_brought_back(
    records: Records, clock: Clock
) -> None:
    out = Filters(rule="a1c", within="out", statuses=ORDER)
    view = await views.save(records, " A1c  over ", out, shared=True)
    assert (view.name, view.counted) == ("A1c over", 2)
    peer = Records(records.database, replace(SAGE, user="peer"), clock)
    far = Records(records.database, replace(SAGE, user="far", org="northgate"), clock)
    assert [one.name for one in (await views.listed(peer))[0]] == ["A1c over"]
    assert (await views.listed(far))[0] == []
    with pytest.raises(Forbidden):
        await views.rename(peer, view.id, "Mine now", shared=True)
    with pytest.raises(NotFound):
        await views.delete(far, view.id)
    with pytest.raises(Invalid):
        await views.save(records, "a1c OVER", Filters(), shared=False)
    with pytest.raises(Invalid):
        await views.rename(records, view.id, " ", shared=True)
    await views.make_default(peer, view.id)
    assert (await views.listed(peer))[1] == view.id
    await views.delete(records, view.id)
    assert await views.listed(peer) == ([], "")
    with pytest.raises(NotFound):
        await views.filters_of(peer, view.id)
    await views.delete(records, view.id, back=True)
    await views.rename(records, view.id, "Out of range", shared=False)
    assert [one.name for one in (await views.listed(records))[0]] == ["Out of range"]
    assert await views.listed(peer) == ([], "")


async def test_the_worker_counts_saved_filters_again(records: Records, clock: Clock) -> None:
    await views.save(records, "No value", Filters(rule="a1c", within="none", statuses=ORDER), shared=False)
    clock.advance(minutes=5)
    await put(records.database, clock, a1c("none", "6.2", "2026-11-17"))
    [view] = (await views.listed(records))[0]
    assert (view.counted, view.counted_at) == (1, clock())


# ---- putting off -----------------------------------------------------------------------------------------------


def until(day: str = "2027-02-18", reason: str = "Away until spring") -> Deferring:
    return Deferring("f" * 32, reason, datetime.fromisoformat(day).date())


async def test_many_are_put_off_and_the_rest_is_refused_with_its_reason(
    records: Records, clock: Clock
) -> None:
    today = clock().date()
    picked = Filters(
        statuses=ORDER, picked=tuple((p, "a1c") for p in ("late", "none", "alarm", "odd", "good"))
    )
    done = await deferral.defer(records, picked, until(), as_of=today)
    said = {one.patient: one.refused for one in done}
    assert said["late"] == said["none"] == ""
    assert said["good"] == "it is not open"
    assert said["odd"] == "a result waits to be read: decide in the chart"
    assert "alarm" in said["alarm"] or "not open" in said["alarm"]
    await worker.drain(records.database, clock)
    found = await registry(records, Filters(rule="a1c", statuses=("deferred",)), as_of=today)
    assert [row.due.patient for row in found.rows] == ["late", "none"]
    assert "Away until spring" in found.rows[0].due.why
    assert "Sage" in found.rows[0].due.why
    clock.set(datetime(2027, 2, 18, 8, tzinfo=UTC))
    await worker.drain(records.database, clock)
    again = await registry(records, Filters(rule="a1c", statuses=("deferred",)), as_of=clock().date())
    assert again.total == 0


async def test_the_same_form_twice_writes_once(records: Records, clock: Clock) -> None:
    picked = Filters(picked=(("late", "a1c"), ("late", "eye-diabetes")))
    first = await deferral.defer(records, picked, until(), as_of=clock().date())
    second = await deferral.defer(records, picked, until(), as_of=clock().date())
    assert [one.again for one in first] == [False, False]
    assert [one.again for one in second] == [True, True]
    assert (await records.counts("late"))["ServiceRequest"] == 2


async def test_a_patient_is_put_off_whole_or_not_at_all(
    records: Records, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = deferral.plan_of

    def broken(patient: str, rule: str, *more: Any) -> dict[str, Any]:
        made = real(patient, rule, *more)
        return made | {"id": "x"} if patient != "late" or rule != "foot-diabetes" else made | {"subject": {"reference": "Patient/nobody-here"}, "basedOn": []}  # fmt: skip

    monkeypatch.setattr(deferral, "plan_of", broken)
    picked = Filters(picked=(("late", "eye-diabetes"), ("late", "foot-diabetes"), ("none", "eye-diabetes")))
    with pytest.raises(
        Invalid
    ):  # an empty list is no FHIR: a bug of ours, and then nothing of this patient is there
        await deferral.defer(records, picked, until(), as_of=clock().date())
    assert "ServiceRequest" not in await records.counts("late")


@pytest.mark.parametrize(
    ("wanted", "field"),
    [(until(reason=" "), "reason"), (until("2026-11-18"), "until"), (until("2030-01-01"), "until")],
)
async def test_a_bad_form_writes_nothing(
    records: Records, clock: Clock, wanted: Deferring, field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await deferral.defer(records, Filters(picked=(("late", "a1c"),)), wanted, as_of=clock().date())
    assert refused.value.issues[0].at == field
    assert "ServiceRequest" not in await records.counts("late")


# ---- the dashboard ---------------------------------------------------------------------------------------------


async def test_the_dashboard_adds_up_to_the_registry(records: Records, clock: Clock) -> None:
    board = await dashboard.panel_of(records, dashboard.Asked())
    assert board.counted_at == clock()
    assert board.since == clock().date()
    for line in board.rules:
        found = await registry(records, Filters(rule=line.key, statuses=ORDER), as_of=clock().date(), limit=1)
        assert {name: n for name, n in line.counts.items() if name != "out"} == found.statuses
        assert line.counts["out"] == sum(
            row.due.within in ("out", "alert")
            for row in (
                await registry(
                    records, Filters(rule=line.key, statuses=ORDER), as_of=clock().date(), limit=500
                )
            ).rows
        )
    mine = await dashboard.panel_of(records, dashboard.Asked(clinician="other"))
    assert next(one for one in mine.rules if one.key == "a1c").asked == 1
    assert {one.key for one in board.clinicians} == {"wrenfield", "other"}


async def test_a_live_count_says_the_same_as_a_kept_one(records: Records) -> None:
    kept = await dashboard.panel_of(records, dashboard.Asked())
    async with records.database.single() as conn:
        await conn.execute("DELETE FROM panel_state")
    live = await dashboard.panel_of(records, dashboard.Asked())
    assert {one.key: one.counts for one in live.rules} == {one.key: one.counts for one in kept.rules}
    assert live.counted_at is None


async def test_months_are_kept_once_each_and_the_past_is_not_touched(records: Records, clock: Clock) -> None:
    for when in (
        datetime(2026, 11, 30, 9, tzinfo=UTC),
        datetime(2026, 12, 14, 9, tzinfo=UTC),
        datetime(2027, 2, 20, 9, tzinfo=UTC),
    ):
        clock.set(when)
        await worker.drain(records.database, clock)
        await counting.count(records.database, clock())
        await counting.count(records.database, clock())
    board = await dashboard.panel_of(records, dashboard.Asked())
    assert [point.day.isoformat() for point in board.history] == ["2026-11-30", "2026-12-14", "2027-02-20"]
    async with records.database.single() as conn:
        days = await conn.fetch("SELECT DISTINCT day FROM panel_count ORDER BY day")
    assert [day.isoformat() for (day,) in days] == [
        "2026-11-30",
        "2026-12-14",
        "2027-02-20",
    ]  # 18-Nov went when it was long over
    assert board.since is not None


async def test_a_count_that_is_broken_off_leaves_the_one_before(records: Records, clock: Clock) -> None:
    before = await dashboard.panel_of(records, dashboard.Asked())

    async def broken() -> None:
        async with records.database.connection() as conn:
            await panel.count(conn, 1, clock().date(), clock())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await broken()
    assert await dashboard.panel_of(records, dashboard.Asked()) == before


async def test_small_counts_of_other_organisations_are_not_told(records: Records, clock: Clock) -> None:
    people = [one for n in range(14) for one in (person(f"far{n}"), problem(f"far{n}"))]
    people += [a1c(f"far{n}", "6.1", "2026-11-01") for n in range(3)]
    await put(records.database, clock, *people, org="northgate")
    far = await dashboard.panel_of(records, dashboard.Asked(org="northgate"))
    line = next(one for one in far.rules if one.key == "a1c")
    assert line.counts["up-to-date"] is None  # 3
    assert line.counts["overdue"] is None  # 11, but alone with a total it would give the 3 away
    every = await dashboard.panel_of(records, dashboard.Asked(org="*"))
    total = next(one for one in every.rules if one.key == "a1c")
    assert total.counts["up-to-date"] is None  # ours known, 3 of theirs would be left
    ours = next(one for one in every.orgs if one.key == "alder")
    assert None not in ours.counts.values()
    own = await dashboard.panel_of(records, dashboard.Asked())
    assert all(one.told for one in own.rules)


@given(st.dictionaries(st.sampled_from(dashboard.KINDS), st.integers(0, 40)), st.dictionaries(st.sampled_from(dashboard.KINDS), st.integers(0, 40)))  # fmt: skip
def test_no_told_count_leaves_a_small_one(mine: dict[str, int], theirs: dict[str, int]) -> None:
    ours = Line("r", "R", {name: mine.get(name, 0) for name in dashboard.KINDS})
    both = Line("r", "R", {name: mine.get(name, 0) + theirs.get(name, 0) for name in dashboard.KINDS})
    told = dashboard._told(both, ours)
    for name, n in told.counts.items():
        if n is not None:
            assert n == 0 or n >= dashboard.SMALL
            assert n - (ours.counts[name] or 0) == 0 or n - (ours.counts[name] or 0) >= dashboard.SMALL
    hidden = [name for name in ORDER if told.counts[name] is None]
    if len(hidden) == 1:
        assert all(told.counts[name] == 0 for name in ORDER if name not in hidden)


async def test_what_is_validated_is_a_plan(clock: Clock) -> None:
    made = deferral.plan_of("p", "a1c", "HbA1c", until(), {"display": "Sage"}, clock().date())
    assert Put(validate(made), "x").valid.rtype == "ServiceRequest"


async def test_alerts_come_first_and_overdue_vaccines_after_other_overdue_work(records: Records) -> None:
    today = records.clock().date()
    rows = (await registry(records, Filters(attention=True), as_of=today, limit=5000)).rows
    told = [(row.due.within == "alert", row.due.status, row.due.kind == "immunization") for row in rows]
    assert told[0] == (True, "up-to-date", False)
    assert [one for one in told if one[0]] == told[: sum(one[0] for one in told)]
    overdue = [vaccine for _, status, vaccine in told if status == "overdue"]
    assert set(overdue) == {True, False}
    assert overdue == sorted(overdue)
