"""Who may be reminded: the exclusions, as examples and as a property over invented people."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonchart.care.outreach import reach
from commonchart.care.outreach.decide import (
    NEVER,
    UNREVIEWED,
    Contact,
    LeftOut,
    Reminder,
    about_pregnancy,
    decide,
    known_of,
    pregnant,
)
from commonchart.care.outreach.reach import CHANNELS, CONFIDENTIAL, Wishes
from commonchart.care.rules import built_in
from tests.outreach import condition, woman

NOW = datetime(2026, 11, 18, 15, tzinfo=UTC)
DAY = date(2026, 11, 18)
DETAIL = Reminder("breast", "Screening mammogram", "overdue", "detail", True)


def asked(
    channel: str = "letter", *, patients: Any = None, facts: Any = (), reminders: Any = (DETAIL,), **more: Any
) -> Contact | LeftOut:
    people = patients or [woman("ada")]
    known = known_of(people, [*people, *facts], reminders, **{"portal": True, **more})
    return decide(known, channel, built_in(), NOW, DAY, gap_days=30)


def test_a_letter_names_what_is_due_and_a_text_does_not() -> None:
    letter, text = asked("letter"), asked("sms")
    assert isinstance(letter, Contact)
    assert isinstance(text, Contact)
    assert (letter.details, text.details) == (("Screening mammogram",), ())


@pytest.mark.parametrize("channel", ["email", "sms", "voice"])
def test_open_channels_never_carry_detail(channel: str) -> None:
    answer = asked(channel)
    assert isinstance(answer, Contact)
    assert answer.details == ()


EXCLUDED: list[tuple[str, dict[str, Any], str]] = [
    ("deceased", {"patients": [woman("ada", deceasedBoolean=True)]}, "has died"),
    ("deceased some day", {"patients": [woman("ada", deceasedDateTime="2031")]}, "has died"),
    ("deceased in another record", {"patients": [woman("ada"), woman("bea", deceasedBoolean=True)]}, "has died"),
    ("hospice", {"facts": [condition("h", "ada", "Z51.5")]}, "hospice"),
    ("merged by a link", {"survivor": "bea"}, "merged"),
    ("replaced", {"patients": [woman("ada", link=[{"type": "replaced-by", "other": {"reference": "Patient/bea"}}])]}, "merged"),
    ("birth two weeks ago", {"facts": [condition("b", "ada", "Z37.0", onsetDateTime="2026-11-04")]}, "pregnancy has ended"),
    ("loss 80 days ago", {"facts": [condition("b", "ada", "O03.4", onsetDateTime="2026-08-30")]}, "pregnancy has ended"),
    ("over without a date", {"facts": [condition("b", "ada", "Z33.1", onsetDateTime="2026-03-01", clinicalStatus={"coding": [{
        "system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "inactive"}]})]}, "pregnancy has ended"),
    ("contacted lately", {"last_contact": NOW - timedelta(days=29)}, "less than 30 days"),
    ("never", {"reminders": [Reminder("hiv", "HIV screening", "overdue", "never", True)]}, NEVER),
    ("an unknown class", {"reminders": [Reminder("x", "X", "overdue", "loud", True)]}, NEVER),
    ("unreviewed", {"reminders": [Reminder("a1c", "A1c", "due", "detail", False)]}, UNREVIEWED),
    ("done by now", {"reminders": [Reminder("breast", "M", "up-to-date", "detail", True)]}, "nothing is due"),
    ("cannot tell", {"reminders": [Reminder("breast", "M", "cannot-tell", "detail", True)]}, "cannot be told"),
    ("a pregnancy rule, not pregnant", {"reminders": [Reminder("preg-bp", "BP in pregnancy", "due", "detail", True, True)]}, "no pregnancy"),
    ("opted out", {"patients": [woman("ada", Wishes(opted_out=frozenset({"letter"})))]}, "this way"),
    ("opted out in another record", {"patients": [woman("ada"), woman("bea", Wishes(opted_out=frozenset({"all"})))]}, "asked not"),
    ("prefers e-mail", {"patients": [woman("ada", Wishes(preferred="email"))]}, "prefers"),
    ("no address", {"patients": [woman("ada", address=[])]}, "no complete postal address"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "how", "why"), EXCLUDED, ids=[one[0] for one in EXCLUDED])
def test_who_is_left_out_hears_why(name: str, how: dict[str, Any], why: str) -> None:
    answer = asked(**how)
    assert isinstance(answer, LeftOut)
    assert why in answer.why


def test_what_lies_long_ago_keeps_nobody_out() -> None:
    assert isinstance(asked(facts=[condition("b", "ada", "Z37.0", onsetDateTime="2025-11-04")]), Contact)
    assert isinstance(asked(last_contact=NOW - timedelta(days=31)), Contact)


@pytest.mark.parametrize("channel", ["sms", "voice"])
def test_automated_texts_and_calls_need_agreement(channel: str) -> None:
    answer = asked(channel, patients=[woman("ada", Wishes())])
    assert isinstance(answer, LeftOut)
    assert "has not agreed" in answer.why


def test_a_confidential_address_is_the_only_one_used_and_names_nothing() -> None:
    hidden = {
        "line": ["PO Box 7"],
        "city": "Alder",
        "postalCode": "44001",
        "extension": [{"url": CONFIDENTIAL, "valueBoolean": True}],
    }
    ada = woman("ada")
    ada["address"].append(hidden)
    letter, mail = asked(patients=[ada]), asked("email", patients=[ada])
    assert isinstance(letter, Contact)
    assert (letter.point.lines[0], letter.details) == ("PO Box 7", ())
    assert isinstance(mail, LeftOut)
    assert "confidential address only" in mail.why


def test_the_letter_of_a_minor_names_nothing() -> None:
    answer = asked(patients=[woman("ada", birthDate="2010-01-01")])
    assert isinstance(answer, Contact)
    assert (answer.minor, answer.details) == (True, ())


@pytest.mark.parametrize(
    ("code", "onset", "more", "goes_on"),
    [
        ("Z34.90", "2026-08-01", [], True),
        ("Z34.90", "2025-12-01", [], False),  # 45 weeks have passed without an end: cannot tell
        ("Z34.90", "2026-03-01", [condition("l", "ada", "O03.9", onsetDateTime="2026-05-01")], False),
        ("E11.9", "2026-08-01", [], False),
    ],
)
def test_a_pregnancy_goes_on_only_when_that_is_known(code: str, onset: str, more: Any, goes_on: bool) -> None:
    known = known_of([woman("ada")], [condition("p", "ada", code, onsetDateTime=onset), *more], [])
    assert pregnant(known.facts, DAY) is goes_on


def test_rules_about_pregnancy_are_known_by_their_name() -> None:
    assert about_pregnancy("preg-bp", "Blood pressure in pregnancy", built_in())
    assert not about_pregnancy("breast", "Screening mammogram", built_in())


# ---- nobody who is excluded is ever in what is sent -------------------------------------------------------------

HOSPICE, LOSS, BIRTH = (condition(x, "ada", code, onsetDateTime="2026-11-01") for x, code in (("h", "Z51.5"), ("l", "O03.9"), ("b", "Z37.0")))  # fmt: skip
reminders = st.builds(
    Reminder, st.sampled_from(["breast", "x"]), st.just("Title of it"),
    st.sampled_from(["overdue", "due", "due-soon", "cannot-tell", "up-to-date", "excluded"]),
    st.sampled_from(["never", "generic", "detail", ""]), st.booleans(), st.booleans(),
)  # fmt: skip
channel_sets = st.frozensets(st.sampled_from([*CHANNELS, "all"]), max_size=2)
people = st.builds(
    lambda died, active, out, opted_in, preferred, confidential: woman(
        "ada", Wishes(preferred, opted_in - {"all"}, out), active=active, **({"deceasedBoolean": True} if died else {}),
        **({"address": [{"line": ["1"], "city": "A", "postalCode": "2", "extension": [{"url": CONFIDENTIAL, "valueBoolean": True}]}]} if confidential else {}),
    ),
    st.booleans(), st.booleans(), channel_sets, channel_sets, st.sampled_from(["", *CHANNELS]), st.booleans(),
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    people, st.sets(st.sampled_from(["hospice", "loss", "birth"])), st.lists(reminders, max_size=4), st.sampled_from(CHANNELS),
    st.sampled_from(["", "ada", "bea"]), st.integers(0, 60) | st.none(), st.booleans(),
)  # fmt: skip
def test_nobody_on_the_list_of_exclusions_is_ever_contacted(
    patient: Any,
    facts: set[str],
    held: list[Reminder],
    channel: str,
    survivor: str,
    days: int | None,
    portal: bool,
) -> None:
    about = [{"hospice": HOSPICE, "loss": LOSS, "birth": BIRTH}[one] for one in facts]
    last = NOW - timedelta(days=days) if days is not None else None
    known = known_of([patient], [patient, *about], held, survivor=survivor, last_contact=last, portal=portal)
    answer = decide(known, channel, built_in(), NOW, DAY, gap_days=30)
    wanted = reach.wishes([patient])
    may = [
        r
        for r in held
        if r.outreach in ("generic", "detail")
        and r.reviewed
        and r.status in ("overdue", "due", "due-soon")
        and not r.pregnancy
    ]
    excluded = (
        patient.get("deceasedBoolean") or not patient["active"] or facts or survivor == "bea" or wanted.refuses(channel)
        or (channel in ("sms", "voice") and channel not in wanted.opted_in) or (days is not None and days < 30) or not may
    )  # fmt: skip
    if isinstance(answer, Contact):
        assert not excluded
        assert set(answer.rules) == {r.rule for r in may}
        if channel not in ("letter", "portal") or answer.point.confidential:
            assert answer.details == ()
        assert set(answer.details) <= {r.title for r in may if r.outreach == "detail"}
    else:
        assert answer.why
