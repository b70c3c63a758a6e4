"""What a result that has just arrived says: critical, abnormal, cannot tell or normal, line by line, each with its reason.

Critical: beyond the site's limits (`care.quarantine`), or flagged so by the laboratory. Abnormal and normal: by the
laboratory's flag and its range; where they disagree it is abnormal. Whatever is left is *cannot tell*, never normal: no
flag and no range, a range in another unit, words only a person can read, a value that is quarantined or missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from commonchart.care.accuracy import Measured, measured, once
from commonchart.care.evidence import Fact, first_moment, words_of
from commonchart.care.facts import evidence
from commonchart.care.inbox.words import Kind, shown, standing
from commonchart.care.person import Person
from commonchart.care.quarantine import Critical, NotChecked, critical, quarantined, timing
from commonchart.care.schema import Analyte, Pack

JsonObject = dict[str, Any]
KINDS: tuple[Kind, ...] = ("critical", "abnormal", "cannot-tell", "normal")
"""The most urgent first."""
PARTIAL = {
    "registered": "no result yet", "partial": "partial", "preliminary": "preliminary", "unknown": "status not known",
}  # fmt: skip
CORRECTED = frozenset({"amended", "corrected", "appended"})
GONE = {"cancelled": "cancelled", "entered-in-error": "entered in error"}


class Line(Struct, frozen=True):
    """One value. `mark` is H, L, HH, LL, A, AA or ""; `why` is the reason of the kind in words; `gone` why it is struck out.

    `critical` is the limit it is beyond, `not_checked` why no critical limit was applied, `part` the component it is, and
    `before`, `before_unit`, `before_day` the value before it; `trend` is up, down, same, or "" where they cannot be compared.
    """

    ref: str
    part: str
    name: str
    value: str
    unit: str = ""
    mark: str = ""
    range: str = ""
    kind: Kind = "cannot-tell"
    why: str = ""
    status: str = ""
    critical: str = ""
    not_checked: str = ""
    quarantined: str = ""
    gone: str = ""
    before: str = ""
    before_unit: str = ""
    before_day: str = ""
    trend: str = ""
    key: str = ""
    taken: str = ""


class Judged(Struct, frozen=True):
    """A report, or a result without one. `partial` and `gone` say why, "" if it is final and stands."""

    title: str
    kind: Kind
    lines: tuple[Line, ...]
    status: str
    partial: str = ""
    corrected: bool = False
    gone: str = ""
    taken: str = ""
    conclusion: str = ""

    @property
    def batch(self) -> bool:
        """Whether it may be signed together with others: final, as first sent, every line normal and checked."""
        plain = all(
            one.kind == "normal" and not one.quarantined and not one.not_checked and not one.gone
            for one in self.lines
        )
        return bool(self.lines) and plain and not (self.partial or self.corrected or self.gone)


class Missing(Struct, frozen=True):
    """A result that a report names and that is not here."""

    ref: str
    name: str


def judge(
    report: JsonObject | None,
    members: Sequence[JsonObject],
    before: Sequence[JsonObject],
    person: Person,
    pack: Pack,
    as_of: date,
    *,
    missing: Sequence[Missing] = (),
    released: Collection[str] = (),
) -> Judged | None:
    """What there is to look at; None when nothing has a result yet. `before` are earlier Observations of the person.

    `released` are the references of quarantined values that a clinician has let through.
    """
    past = list(evidence(before).facts)
    lines = [line for one in members for line in _lines(one, past, person, pack, as_of, released)]
    lines += [
        Line(one.ref, "", one.name, "not received", why="the report names it, and it is not here")
        for one in missing
    ]
    whole = report if report is not None else members[0]
    status = str(whole.get("status", ""))
    gone = GONE.get(status, "")
    conclusion = _conclusion(report)
    if not lines and not conclusion and not gone:
        return None
    if report is not None and conclusion:
        lines.append(_read_by_a_person(report, conclusion))
    standing_lines = [one for one in lines if not one.gone]
    unread: Kind = "cannot-tell"
    kind = min((one.kind for one in standing_lines), key=KINDS.index, default=unread)
    statuses = [
        status,
        *(str(one.get("status", "")) for one in members if str(one.get("status")) not in GONE),
    ]
    return Judged(
        words_of(whole.get("code")) or "Result without a name", kind, tuple(sorted(lines, key=_urgent)), status,
        partial="" if gone else next((PARTIAL[one] for one in statuses if one in PARTIAL), ""),
        corrected=any(one in CORRECTED for one in statuses), gone=gone or _all_gone(lines),
        taken=_taken(whole, members), conclusion=conclusion,
    )  # fmt: skip


def _urgent(line: Line) -> tuple[bool, int]:
    return bool(line.gone), KINDS.index(line.kind)


def _all_gone(lines: Sequence[Line]) -> str:
    return lines[0].gone if lines and all(one.gone for one in lines) else ""


def _taken(whole: JsonObject, members: Sequence[JsonObject]) -> str:
    found = (taken_of(one) for one in (whole, *members))
    return next((one for one in found if one), "")


def taken_of(resource: Mapping[str, Any]) -> str:
    """The clinical date of a result or report as written, "" without one."""
    period = resource.get("effectivePeriod") or {}
    for text in (
        resource.get("effectiveDateTime"),
        resource.get("effectiveInstant"),
        period.get("end"),
        period.get("start"),
    ):
        if isinstance(text, str) and text:
            return text
    return str(resource.get("issued") or "")


def _conclusion(report: JsonObject | None) -> str:
    if report is None:
        return ""
    coded = [words_of(one) for one in report.get("conclusionCode") or ()]
    found = "; ".join(filter(None, (str(report.get("conclusion") or "").strip(), *coded)))
    return found or ("see the attached document" if report.get("presentedForm") else "")


def _read_by_a_person(report: JsonObject, conclusion: str) -> Line:
    ref = f"DiagnosticReport/{report.get('id', '')}"
    return Line(ref, "conclusion", "Conclusion", conclusion, why="a text, which only a person can read",
                status=str(report.get("status", "")), gone=GONE.get(str(report.get("status")), ""))  # fmt: skip


# ---- the lines of one Observation ------------------------------------------------------------------------------


def _lines(
    resource: JsonObject,
    past: Sequence[Fact],
    person: Person,
    pack: Pack,
    as_of: date,
    released: Collection[str],
) -> Iterator[Line]:
    facts = [one for one in evidence([resource]).facts if one.kind == "observation"]
    parts = [resource, *(resource.get("component") or ())]
    for n, (part, fact) in enumerate(zip(parts, facts, strict=True)):
        value = shown(part)
        if not value and (
            len(parts) > 1 or resource.get("hasMember") or resource.get("status") == "registered"
        ):
            continue
        line = _line(resource, part, fact, value, n)
        yield _compared(_checked(line, part, fact, past, person, pack, as_of, released), fact, past)


def _line(resource: JsonObject, part: JsonObject, fact: Fact, value: str, n: int) -> Line:
    status = str(resource.get("status", ""))
    name = words_of(resource.get("code")) or "Result without a name"
    if n:
        name = f"{name}: {words_of(part.get('code')) or 'without a name'}"
    quantity = part.get("valueQuantity") or {}
    mark, kind, why, limits = standing(part, fact)
    if not value:
        kind, why = (
            "cannot-tell",
            f"no result: {words_of(part.get('dataAbsentReason')) or 'no reason was sent'}",
        )
    return Line(
        fact.ref, str(n) if n else "", name, value or "no result", str(quantity.get("unit") or quantity.get("code") or ""), mark,
        limits, kind, why, status, gone=GONE.get(status, ""), key=_key(resource, part, n), taken=taken_of(resource),
    )  # fmt: skip


def _key(resource: JsonObject, part: JsonObject, n: int) -> str:
    """The test as the pages of the chart name it."""
    own = _coding(part.get("code"))
    return f"{_coding(resource.get('code'))}>{own}" if n else own


def _coding(concept: Any) -> str:
    coding: JsonObject = next(iter((concept or {}).get("coding") or ()), {})
    return (
        f"{coding.get('system', '')}|{coding['code']}" if coding.get("code") else f"text|{words_of(concept)}"
    )


def _checked(
    line: Line, part: JsonObject, fact: Fact, past: Sequence[Fact], person: Person, pack: Pack, as_of: date,
    released: Collection[str],
) -> Line:  # fmt: skip
    """The line after the critical limits and the checks of plausibility. A quarantined value keeps its critical alert."""
    if line.gone:
        return line
    found = [(one, measured(one, fact)) for one in _analytes(pack, fact)]
    line = _held_back(line, fact, found, past, person, pack, as_of, released)
    for analyte, one in found:
        line = _limited(line, critical(analyte, one, person))
    if len(line.mark) == 2 and line.kind != "critical":
        line = replace(
            line,
            kind="critical",
            critical="flagged as critical by the laboratory",
            why="flagged as critical by the laboratory",
        )
    return line


def _analytes(pack: Pack, fact: Fact) -> list[Analyte]:
    names = sorted({name for held in pack.sets_of(fact.codes) for name in pack.analytes_of.get(held, ())})
    return [pack.analytes[name] for name in names]


def _limited(line: Line, said: Critical | NotChecked | None) -> Line:
    if isinstance(said, NotChecked):
        return replace(line, not_checked=line.not_checked or said.reason)
    if said is None:
        return line
    doubt = "" if said.certain else ", if it is in the usual unit"
    words = f"{said.limit} {said.unit}{doubt}"
    mark = "LL" if said.limit.startswith("below") else "HH"
    return replace(line, kind="critical", mark=mark, critical=words, why=f"critical: {words} ({said.source})")


def _held_back(
    line: Line, fact: Fact, found: Sequence[tuple[Analyte, Measured]], past: Sequence[Fact], person: Person, pack: Pack,
    as_of: date, released: Collection[str],
) -> Line:  # fmt: skip
    """The line with why it may not be believed, if so."""
    reasons = [timing(fact, person, as_of)]
    for analyte, one in found:
        earlier = [measured(analyte, other) for other in past if pack.holds(analyte.codes, other.codes)]
        verdicts = quarantined(analyte, once([one, *earlier]), person, as_of, released)
        reasons += [verdict.reason for verdict in verdicts if verdict.fact.ref == fact.ref]
    reason = next((one for one in reasons if one), "")
    if not reason or fact.ref in released:
        return line
    return replace(line, quarantined=reason, kind="cannot-tell", why=f"quarantined: {reason}")


# ---- what was there before -------------------------------------------------------------------------------------


def _compared(line: Line, fact: Fact, past: Iterable[Fact]) -> Line:
    """The line with the newest earlier value of the same test."""
    at = first_moment(fact.shown)
    older = [
        one
        for one in past
        if one.codes & fact.codes and one.ref != fact.ref and not one.unusable and one.answered
        and bool(one.part_of) == bool(fact.part_of) and first_moment(one.shown) <= at
    ]  # fmt: skip
    if not older or not fact.codes:
        return line
    newest = max(older, key=lambda one: (first_moment(one.shown), one.ref))
    text = f"{newest.comparator}{newest.value:f}" if newest.value is not None else newest.words
    return replace(
        line, before=text, before_unit=newest.unit, before_day=newest.shown, trend=_trend(fact, newest)
    )


def _trend(now: Fact, before: Fact) -> str:
    if (
        now.value is None
        or before.value is None
        or now.unit != before.unit
        or now.comparator
        or before.comparator
    ):
        return ""
    moved = now.value - before.value
    return "same" if moved == Decimal(0) else "up" if moved > 0 else "down"
