"""The form of a rule changes what was typed and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from commonchart.care.editions import Edition
from commonchart.care.rules import built_in
from commonchart.fhir.outcome import Invalid
from commonchart.web.forms.rules import applied, form

PACK = built_in()


def edition(rule: str) -> Edition:
    return Edition(structs.replace(PACK.by_id[rule], version="draft", review="needed"))


def sent(rule: str, **changes: str) -> Edition:
    groups = form(edition(rule), PACK)
    values = {one.name: one.value for group in groups for one in group.fields}
    assert set(changes) <= set(values)
    return applied(edition(rule), groups, values | changes)


@pytest.mark.parametrize("rule", [rule.id for rule in PACK.rules])
def test_a_form_that_is_sent_as_it_stands_changes_nothing(rule: str) -> None:
    assert sent(rule) == edition(rule)


def test_only_what_was_typed_is_another() -> None:
    made = sent(
        "breast",
        **{"applies-max_age": "", "excluded_by": "breasts-absent, frailty", "satisfied_by-0-months": "12"},
    ).rule
    whole = edition("breast").rule
    assert (made.applies.max_age, made.excluded_by, made.satisfied_by[0].months) == (
        None,
        ("breasts-absent", "frailty"),
        12,
    )
    put_back = structs.replace(
        made, excluded_by=whole.excluded_by, applies=structs.replace(made.applies, max_age=74),
        satisfied_by=(structs.replace(made.satisfied_by[0], months=24), *made.satisfied_by[1:]),
    )  # fmt: skip
    assert put_back == whole


@pytest.mark.parametrize(
    ("changes", "at", "words"),
    [
        ({"monitor-below-0": "seven"}, "monitor-below-0", "a number such as 7.0"),
        ({"monitor-below-0": "1e999"}, "monitor-below-0", "a number such as 7.0"),
        ({"monitor-months_in": ""}, "monitor-months_in", "is missing"),
        ({"soon_days": "soon"}, "soon_days", "a whole number"),
        ({"outreach": "shout"}, "outreach", "choose one of the list"),
        ({"title": ""}, "title", "is missing"),
    ],
)
def test_what_is_wrong_stands_at_its_field(changes: dict[str, str], at: str, words: str) -> None:
    with pytest.raises(Invalid) as refused:
        sent("a1c", **changes)
    [issue] = refused.value.issues
    assert issue.at == at
    assert issue.message.startswith("a1c: ")
    assert words in issue.message


def test_a_limit_is_for_everything_that_is_measured_or_for_nothing() -> None:
    groups: Any = form(edition("blood-pressure"), PACK)
    names = [one.name for group in groups for one in group.fields if one.name.startswith("monitor-below-")]
    assert len(names) == 2
    with pytest.raises(Invalid) as refused:
        sent("blood-pressure", **{names[1]: ""})
    assert refused.value.issues[0].at == names[1]
    monitor = sent("blood-pressure", **dict.fromkeys(names, "")).rule.monitor
    assert monitor is not None
    assert monitor.below == ()
