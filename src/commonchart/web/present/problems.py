"""Conditions, active and past."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commonchart.web.present import codes, dates, values
from commonchart.web.present.absence import is_absence, known_none
from commonchart.web.present.tables import Cell, Fact, Row, Table, entered_in_error, errors_last, notes

_PAST = {"inactive", "remission", "resolved"}


def is_active(body: dict[str, Any]) -> bool:
    """Active, or nobody said; never one that is refuted or retracted."""
    doubt = codes.said(body.get("verificationStatus"))
    return codes.said(body.get("clinicalStatus")) not in _PAST and doubt not in (
        "refuted",
        "entered-in-error",
    )


def tables(facts: Sequence[Fact]) -> list[Table]:
    """Active conditions, then past ones."""
    found = [fact for fact in facts if fact.rtype == "Condition" and not is_absence(fact.body)]
    active = [_row(fact) for fact in found if is_active(fact.body)]
    past = [_row(fact) for fact in found if not is_active(fact.body)]
    none = known_none(facts, "Condition")
    empty = (
        f"Known to have no problems ({none})."
        if none
        else "None recorded. This does not mean that there are none."
    )
    columns = ("Condition", "Code", "Since", "Kind")
    return [
        Table("active", "Active", columns, errors_last(active), empty=empty, narrow=frozenset({1, 3})),
        Table(
            "past",
            "Past",
            ("Condition", "Code", "When", "Kind"),
            errors_last(past),
            empty="None recorded.",
            narrow=frozenset({1, 3}),
        ),
    ]


def brief(facts: Sequence[Fact]) -> Table:
    """The active conditions for the summary."""
    whole = tables(facts)
    rows = tuple(Row(row.fact, row.title, row.cells[:2], sub=row.sub) for row in whole[0].rows)
    quiet = f"{len(rows)} active, {len(whole[1].rows)} past"
    return Table(
        "problems",
        "Problems",
        ("Problem", "Code", "Since"),
        rows,
        quiet,
        whole[0].empty,
        narrow=frozenset({1}),
    )


def _row(fact: Fact) -> Row:
    body = fact.body
    code = codes.codings(body.get("code"))
    since = values.chosen(body, "onset") or dates.day(body.get("recordedDate"))
    ended = values.chosen(body, "abatement")
    when = f"{_day(since)} to {_day(ended)}" if ended else _day(since)
    return Row(
        fact,
        codes.concept(body.get("code")),
        (
            Cell(code[0].code if code else "no code", quiet=True, narrow=True, nowrap=True),
            Cell(when or codes.NOT_RECORDED, quiet=True, nowrap=len(when) < 12),
            Cell(codes.concepts(body.get("category")) or codes.NOT_RECORDED, quiet=True, narrow=True),
        ),
        sub=_sub(body),
        struck=entered_in_error(body),
    )


def _day(text: str) -> str:
    return text.rsplit(" ", 1)[0] if len(text) == len("10-Dec-1985 08:15") and text[-3] == ":" else text


def _sub(body: dict[str, Any]) -> str:
    status, doubt = codes.said(body.get("clinicalStatus")), codes.said(body.get("verificationStatus"))
    said = [
        "clinical status not recorded"
        if not status
        else ""
        if status in ("active", "resolved")
        else codes.plain(status),
        "" if doubt in ("confirmed", "entered-in-error", "") else codes.plain(doubt),
        codes.concept(body.get("severity"), ""),
        codes.concepts(body.get("bodySite")),
        notes(body),
    ]
    return " · ".join(part for part in said if part)
