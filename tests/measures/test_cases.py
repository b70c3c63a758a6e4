"""Reading cases and value sets: what is read, and what is refused with its line."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from commonchart.exchange.load.files import lines
from commonchart.fhir.outcome import Invalid, Malformed, NotFound
from commonchart.measures.cases import cases
from commonchart.measures.value_sets import value_sets


def line(**more: Any) -> bytes:
    one = {
        "year": 2025, "measure": "CMS125FHIR", "id": "a", "description": "unread",
        "period": {"start": "2026-01-01", "end": "2026-12-31"}, "resources": [], "expected": [{"numerator": 1}],
    }  # fmt: skip
    return json.dumps(one | more).encode()


def test_a_case_has_its_line_its_period_to_the_last_moment_and_its_populations() -> None:
    _, second = cases([line(), b"", line(id="b")])
    assert (second.number, second.id, second.expected) == (3, "b", [{"numerator": 1}])
    assert second.period.until == datetime(2027, 1, 1, tzinfo=UTC)
    assert (second.period.first, second.period.last) == (date(2026, 1, 1), date(2026, 12, 31))


@pytest.mark.parametrize(
    "bad",
    [
        b"[1]",
        b"{",
        line(year="x"),
        line(expected=[]),
        line(expected=[{"numerator": "one"}]),
        line(period={"start": "2026-12-31", "end": "2026-01-01"}),
        line(period={"start": "soon", "end": "2026-01-01"}),
    ],
)
def test_what_is_no_case_is_refused_with_its_line(bad: bytes) -> None:
    with pytest.raises(Malformed, match="Line 2 "):
        list(cases([line(), bad]))


def test_sets_of_one_title_are_united_and_a_missing_one_is_not_empty() -> None:
    rows = [{"title": "A", "oid": str(n), "codes": [["s", str(n)]]} for n in range(2)]
    sets = value_sets(json.dumps(row).encode() for row in rows)
    assert sets.of("A") == {("s", "0"), ("s", "1")}
    with pytest.raises(NotFound, match="title B"):
        sets.of("B")


def test_a_value_set_must_have_pairs_of_system_and_code() -> None:
    with pytest.raises(Malformed, match="Line 1 "):
        value_sets([b'{"title": "A", "codes": ["x"]}'])


def test_lines_are_read_plain_or_packed_and_a_torn_file_is_refused(tmp_path: Path) -> None:
    plain, packed, torn = tmp_path / "a.jsonl", tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.gz"
    plain.write_bytes(b"1\n2\n")
    packed.write_bytes(gzip.compress(b"1\n2\n"))
    torn.write_bytes(gzip.compress(bytes(range(256)) * 500)[:-20])
    assert list(lines(plain)) == list(lines(packed)) == [b"1\n", b"2\n"]
    with pytest.raises(Malformed, match="to its end"):
        list(lines(torn))
    with pytest.raises(Invalid, match="no file"):
        list(lines(tmp_path / "none"))
