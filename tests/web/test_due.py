"""The due rail: order, words, and an explanation that hides nothing."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from commonchart.web.portal.due import plain
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
             "why": json.dumps(WHY), "pack": "us-adult", "version": "2026.1", "assessed_at": datetime(2026, 11, 18, 6, 10, tzinfo=UTC), "kind": "monitoring"}  # fmt: skip
    return SimpleNamespace(**given | more)


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


def test_what_many_rules_wait_for_is_asked_once() -> None:
    unused = [{"words": "Ibuprofen", "link": "MedicationStatement/m2", "reason": "no code"}]
    uncoded = json.dumps(WHY | {"asks": ["code-medications"], "question": "Is it lithium?", "unused": unused})
    sexual = json.dumps(WHY | {"asks": ["sexually-active"], "question": "Have you had sex?"})
    rows = [row("cannot-tell", f"Drug rule {n}", rule=f"d{n}", why=uncoded) for n in range(4)]
    rows += [row("cannot-tell", f"Test {n}", rule=f"t{n}", why=sexual) for n in range(2)]
    rail = due.rail([*rows, row("due", "E", rule="e")], TODAY)
    assert [(one.question, len(one.titles)) for one in rail.asks] == [
        ("Code the medication without a code: Ibuprofen", 4)
    ]
    assert [item.title for item in rail.open] == ["E", "Test 0", "Test 1"]
    assert rail.words == "1 due, 2 cannot tell, 1 to ask"


def test_what_was_reviewed_comes_before_what_was_not() -> None:
    plain = json.dumps(WHY | {"review": "reviewed"})
    rail = due.rail([row("due", "A", rule="a"), row("due", "B", rule="b", why=plain)], TODAY)
    assert [item.title for item in rail.open] == ["B", "A"]


def test_the_rail_shows_few_at_once_and_counts_every_one() -> None:
    plain = json.dumps(WHY | {"review": "reviewed"})
    rows = [row("overdue", f"O{n:02}", rule=f"o{n}") for n in range(20)]
    rows += [row("overdue", "Reviewed", rule="r", why=plain)]
    rows += [row("due", f"D{n}", rule=f"d{n}") for n in range(6)]
    rows += [row("cannot-tell", f"C{n}", rule=f"c{n}") for n in range(9)]
    rail = due.rail([*rows, row("due-soon", "S", rule="s")], TODAY)
    groups = rail.groups
    assert [(one.status, one.words, len(one.first), len(one.rest), one.shut) for one in groups] == [
        ("overdue", "21", 8, 13, False),
        ("due", "6", 2, 4, False),
        ("cannot-tell", "9", 0, 9, True),
        ("due-soon", "1", 0, 1, True),
    ]
    assert groups[0].first[0].title == "Reviewed"
    assert groups[0].rest_words == "13 more not reviewed"
    assert groups[2].rest_words == "9 not reviewed"
    assert [*(i for one in groups for i in (*one.first, *one.rest))] == list(rail.open)
    assert len(rail.explained) == 10  # with more the summary of a full chart is over 60 kB


def test_with_nothing_overdue_what_cannot_be_told_stands_open() -> None:
    uncoded = json.dumps(WHY | {"asks": ["sexually-active"], "question": "Have you had sex?"})
    rail = due.rail([row("cannot-tell", f"T{n}", rule=f"t{n}", why=uncoded) for n in range(3)], TODAY)
    (only,) = rail.groups
    assert (only.words, len(only.asks), only.shut) == ("1 to ask", 1, False)


def test_a_vaccine_has_its_everyday_name_at_home_and_orders_to_staff_are_no_questions() -> None:
    why = {"plain": "Protects against Zoster.", "question": "Decide together with the patient"}
    shot = plain(due.item(row("due", "Zoster, dose 1", kind="immunization", why=json.dumps(why))))
    assert shot.title == "Shingles shot (Zoster, dose 1)"
    assert shot.text.startswith("Protects against shingles, a painful rash. We have no record of one.")
    open_ = plain(due.item(row("cannot-tell", "COVID-19", kind="immunization", why=json.dumps(why))))
    assert open_.title == "COVID-19 shot"
    assert "Decide together" not in open_.text
    assert open_.text.endswith("ask us.")
    asked = plain(due.item(row("cannot-tell", "Lungs", why=json.dumps(WHY | {"question": "Do you smoke?"}))))
    assert "The question: Do you smoke?" in asked.text
