"""Heads and digests stand for every event and their order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from commonchart.access.sealing import chain

AT = datetime(2026, 11, 18, 10, 0, 0, 123456, tzinfo=UTC)
ROW = (
    7,
    AT,
    1,
    "u",
    "clinician",
    "org",
    "web",
    "TREAT",
    "read",
    0,
    "Observation",
    "o1",
    2,
    ["ada"],
    "code=1",
    None,
)


def test_a_digest_is_of_the_moment_not_of_its_writing() -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert chain.digest((7, elsewhere, *ROW[2:])) == chain.digest(ROW)


@given(place=st.integers(0, len(ROW) - 1))
def test_every_column_is_sealed(place: int) -> None:
    other = AT + timedelta(microseconds=1) if place == 1 else "other" if place != 13 else ["ada", "bo"]
    assert chain.digest((*ROW[:place], other, *ROW[place + 1 :])) != chain.digest(ROW)


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=2, max_size=6, unique=True))
def test_a_head_stands_for_the_order(digests: list[bytes]) -> None:
    turned = [digests[-1], *digests[:-1]]
    assert chain.head(chain.BEGINNING, 1, b"".join(turned)) != chain.head(
        chain.BEGINNING, 1, b"".join(digests)
    )


def test_the_number_is_part_of_the_head() -> None:
    assert chain.head(chain.BEGINNING, 1, b"") != chain.head(chain.BEGINNING, 2, b"")
