"""What a site decides about contacting people: safe when it says nothing, refused when it cannot be read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from commonchart.access.outreach import policy
from commonchart.access.outreach.policy import Policy, policy_of
from commonchart.fhir.outcome import Invalid
from commonchart.record import site
from commonchart.record.database import Database


async def test_nothing_said_is_the_safe_answer(database: Database) -> None:
    async with database.single() as conn:
        found = await policy_of(conn, 1)
        assert found == Policy()
        await site.put(conn, 1, "outreach_gap_days", "never")
        with pytest.raises(Invalid):
            await policy_of(conn, 1)


async def test_today_is_the_day_of_the_site_and_utc_where_its_zone_is_not_known(database: Database) -> None:
    evening = datetime(2026, 11, 19, 2, tzinfo=UTC)
    async with database.single() as conn:
        for zone, words in (
            ("", "19 02:00 UTC"),
            ("America/Chicago", "18 20:00 CST"),
            ("Mars/Olympus", "19 02:00 UTC"),
        ):
            await site.put(conn, 1, "time_zone", zone)
            assert f"{await policy.local(conn, 1, evening):%d %H:%M %Z}" == words


@pytest.mark.parametrize(
    ("zone", "hour", "quiet"),
    [
        ("UTC", 8, True),
        ("UTC", 9, False),
        ("UTC", 19, True),
        ("America/Chicago", 14, True),
        ("America/Chicago", 16, False),
    ],
)
def test_quiet_hours_are_those_of_the_site(zone: str, hour: int, quiet: bool) -> None:
    assert Policy(zone=zone).quiet(datetime(2026, 11, 18, hour, 30 if hour == 8 else 0, tzinfo=UTC)) is quiet


def test_the_day_of_the_site_has_its_own_ends() -> None:
    lo, hi = Policy(zone="America/Chicago").day_bounds(datetime(2026, 11, 18, 3, tzinfo=UTC))
    assert (lo.astimezone(UTC).isoformat(), hi.astimezone(UTC).isoformat()) == (
        "2026-11-17T06:00:00+00:00",
        "2026-11-18T06:00:00+00:00",
    )


@pytest.mark.parametrize("text", ["9-19", "19:00-09:00", "09:00-24:00", ""])
def test_hours_that_cannot_be_read(text: str) -> None:
    with pytest.raises(Invalid):
        policy.hours(text)


@pytest.mark.parametrize("text", ["Mars/Olympus", "../etc/passwd", ""])
def test_zones_that_do_not_exist(text: str) -> None:
    with pytest.raises(Invalid):
        policy.zone(text)
