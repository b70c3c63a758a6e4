"""How somebody is reached: addresses in use on a day, wishes, languages."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from commonchart.care.outreach import reach
from commonchart.care.outreach.reach import CONFIDENTIAL, Wishes
from tests.outreach import woman

DAY = date(2026, 11, 18)
HOME = {"use": "home", "line": ["4 Mill Lane"], "city": "Alder", "state": "OH", "postalCode": "44001"}
CONF_USE = [{"url": reach.ISO_USE[0], "valueCode": "CONF"}]


def line(*addresses: dict[str, Any]) -> str:
    point, why = reach.point(woman("ada", address=list(addresses)), "letter", DAY)
    return point.lines[0] if point else why


@pytest.mark.parametrize(
    ("addresses", "line_or_why"),
    [
        ([HOME], "4 Mill Lane"),
        ([HOME, HOME | {"use": "temp", "line": ["Summer"], "period": {"start": "2026-11", "end": "2026-12-01"}}], "Summer"),
        ([HOME, HOME | {"use": "temp", "line": ["Summer"], "period": {"end": "2026-11-17"}}], "4 Mill Lane"),
        ([HOME, HOME | {"use": "temp", "line": ["Summer"], "period": {"end": "2026-11-18"}}], "Summer"),
        ([HOME | {"period": {"start": "2026-11-19"}}], "no complete postal address in use"),
        ([HOME | {"use": "old"}], "no complete postal address in use"),
        ([HOME | {"use": "billing"}], "no complete postal address in use"),
        ([HOME | {"type": "physical"}], "no complete postal address in use"),
        ([HOME | {"extension": [{"url": reach.ISO_USE[0], "valueCode": "BAD"}]}], "no complete postal address in use"),
        ([{"city": "Alder", "postalCode": "44001"}], "no complete postal address in use"),
        ([HOME, HOME | {"line": ["PO Box 7"], "extension": CONF_USE}], "PO Box 7"),
        ([HOME, {"city": "Alder", "extension": CONF_USE}], "asked to be reached at a confidential address only, which this channel is not"),
    ],
)  # fmt: skip
def test_the_address_of_a_day(addresses: list[dict[str, Any]], line_or_why: str) -> None:
    assert line(*addresses) == line_or_why


def test_a_confidential_number_closes_every_other_way() -> None:
    ada = woman("ada")
    ada["telecom"].append(
        {
            "system": "email",
            "value": "safe@post.example",
            "extension": [{"url": CONFIDENTIAL, "valueBoolean": True}],
        }
    )
    found = {channel: reach.point(ada, channel, DAY)[0] for channel in ("email", "sms", "letter")}
    assert found["email"] == reach.Point(("safe@post.example",), True)
    assert (found["sms"], found["letter"]) == (None, None)


@pytest.mark.parametrize(
    "bad", ["ada", "ada@", "@x", "a@b\nBcc: c@d.example", "a@b.example, c@d.example", "<a@b.example>", ""]
)
def test_what_is_no_address_is_not_written_to(bad: str) -> None:
    assert reach.point(woman("ada", telecom=[{"system": "email", "value": bad}]), "email", DAY)[0] is None


def test_rank_comes_before_use() -> None:
    phones = [
        {"system": "phone", "value": "555 00001", "use": "mobile", "rank": 2},
        {"system": "phone", "value": "555 00002", "use": "work", "rank": 1},
    ]
    point, _ = reach.point(woman("ada", telecom=phones), "voice", DAY)
    assert point is not None
    assert point.lines == ("555 00002",)


def test_wishes_are_kept_and_read_and_nothing_else_is_touched() -> None:
    said = Wishes("email", frozenset({"sms"}), frozenset({"voice"}), "plain")
    ada = woman("ada", extension=[{"url": "http://x", "valueBoolean": True}])
    kept = reach.with_wishes(ada, said)
    assert reach.wishes([kept]) == said
    assert {"url": "http://x", "valueBoolean": True} in kept["extension"]
    assert "extension" not in reach.with_wishes(woman("bea"), Wishes())


def test_the_preferred_language_is_written_in() -> None:
    def spoken(*codes: str) -> list[dict[str, Any]]:
        return [
            {"language": {"coding": [{"code": code}]}, "preferred": n == 1} for n, code in enumerate(codes)
        ]

    assert reach.language(woman("ada", communication=spoken("en", "es-MX"))) == "es"
    assert reach.language(woman("ada"), "fr") == "fr"
