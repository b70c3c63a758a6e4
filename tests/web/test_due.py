"""The due rail: order, words, and an explanation that hides nothing."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from commonchart.web.present import due

TODAY = date(2026, 11, 18)
WHY = {
    "because": "The last HbA1c, 8.4 %, was above target.",
    "states": "HbA1c every 3 months while above target",
    "authority": "ADA Standards of Care",
    "source": "2026",
    "review": "needed",
    "used": [{"words": "HbA1c 8.4 %", "when": "2026-05-06", "link": "Observation/h5"}],
    "unused": [
        {"words": "HbA1c 84 %", "when": "2026-11-02", "link": "Observation/wrong", "reason": "not plausible"}
    ],
    "satisfied_by": "A final HbA1c after 06-May-2026.",
    "exclusions": "hospice: none found",
    "question": "",
}


def row(status: str, title: str = "HbA1c", **more: Any) -> SimpleNamespace:
    given = {"rule": "a1c", "title": title, "status": status, "due_on": None, "overdue_on": None, "until": None, "next_change_on": None,
             "why": json.dumps(WHY), "pack": "us-adult", "version": "2026.1", "assessed_at": datetime(2026, 11, 18, 6, 10, tzinfo=UTC)}  # fmt: skip
    return SimpleNamespace(kind="monitoring", **given | more)


def test_what_asks_for_something_comes_first_and_is_counted_in_words() -> None:
    rail = due.rail(
        [
            row("up-to-date", "A"),
            row("due-soon", "B"),
            row("cannot-tell", "C"),
            row("overdue", "D"),
            row("due", "E"),
            row("excluded", "F"),
        ],
        TODAY,
    )
    assert [item.title for item in rail.open] == ["D", "E", "C", "B"]
    assert [item.title for item in rail.closed] == ["A", "F"]
    assert rail.words == "1 overdue, 1 due, 1 cannot tell, 1 soon"
    assert rail.worked_out == "18-Nov-2026 06:10 UTC"


@pytest.mark.parametrize(
    ("status", "dates", "when"),
    [
        ("overdue", {"overdue_on": date(2026, 8, 6), "due_on": date(2026, 7, 6)}, "since 06-Aug-2026"),
        ("due", {"due_on": date(2026, 10, 22)}, "since 22-Oct-2026"),
        ("due", {}, "now"),
        ("due-soon", {"due_on": date(2027, 1, 20)}, "on 20-Jan-2027"),
        ("up-to-date", {"until": date(2027, 3, 1)}, "until 01-Mar-2027"),
        ("up-to-date", {}, ""),
    ],
)
def test_the_day_that_matters_is_said(status: str, dates: dict[str, date], when: str) -> None:
    assert due.item(row(status, **dates)).when == when


def test_an_item_defends_itself() -> None:
    item = due.item(row("overdue", next_change_on=date(2026, 12, 1)))
    assert (item.mark, item.word, item.because) == ("overdue", "Overdue", WHY["because"])
    assert [(used.words, used.day, used.link) for used in item.used] == [
        ("HbA1c 8.4 %", "06-May-2026", "Observation/h5")
    ]
    assert item.unused[0].reason == "not plausible"
    lines = dict(item.rule_lines)
    assert lines["Authority"] == "ADA Standards of Care"
    assert "us-adult 2026.1" in lines["Version"]
    assert "not reviewed" in lines["Version"]
    assert lines["Excluded by"] == "hospice: none found"
    assert lines["Next change"] == "01-Dec-2026"
    assert item.unreviewed


def test_nothing_worked_out_is_not_nothing_due() -> None:
    assert due.rail([], TODAY).empty.startswith("NOT CHECKED")
    assert due.rail([row("up-to-date")], TODAY).empty == "Nothing is due now."


def test_cannot_tell_says_what_to_ask() -> None:
    asked = due.item(row("cannot-tell", why=json.dumps(WHY | {"question": "Ask pack-years and quit date"})))
    assert asked.when == "Ask pack-years and quit date"


@pytest.mark.parametrize("why", ["{}", '{"used": ["a fact"], "unused": null, "exclusions": ["a", "b"]}'])
def test_a_thin_explanation_is_still_drawn(why: str) -> None:
    assert due.item(row("due", why=why)).title == "HbA1c"


def test_what_was_never_done_is_not_said_to_wait_since_childhood() -> None:
    item = due.item(
        row(
            "overdue",
            due_on=date(1986, 3, 14),
            overdue_on=date(1986, 6, 12),
            why=json.dumps(WHY | {"used": []}),
        )
    )
    assert item.when == "none recorded"
    assert dict(item.rule_lines)["Since"] == "14-Mar-1986"
