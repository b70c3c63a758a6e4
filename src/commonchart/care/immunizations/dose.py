"""One dose against one target dose (chapter 6): every check, the first that fails decides."""

from __future__ import annotations

from collections.abc import Iterator

from commonchart.care.immunizations.answer import EXTRANEOUS, NOT_VALID, SUB_STANDARD, VALID, Dose, Reason
from commonchart.care.immunizations.compile import PREVIOUS, RECENT, TARGET, Gap, Product, Target
from commonchart.care.immunizations.offsets import add
from commonchart.care.immunizations.run import Run, skips

Result = tuple[str, int, tuple[Reason, ...]]
_SURPLUS = (Reason("4.4", "series complete"),)
_STATUS = {"expired": SUB_STANDARD, "flawed": SUB_STANDARD, "too old": EXTRANEOUS}


def evaluate(run: Run) -> None:
    """Try every dose on the series, in order: what each satisfies, and why not (4.4)."""
    targets = run.series.targets
    days = run.against.history.when
    last = -1
    for number in run.against.doses:
        day = days[number]
        while run.at < len(targets):
            rules = targets[run.at].skip_evaluating
            if not rules or not skips(run, rules, day, day, number, last, True):
                break
            run.at += 1
        last = number
        if run.at == len(targets):
            run.results[number] = (EXTRANEOUS, 0, _SURPLUS)
            continue
        _apply(run, targets[run.at], number)
        run.trail.append((number, run.at, run.satisfied))
    run.last = last


def _apply(run: Run, target: Target, number: int) -> None:
    result = run.results[number] = _result(run, target, number)
    status, _, reasons = result
    if status == VALID:
        run.satisfied += 1
        run.valid.append(number)
        run.hits.setdefault(target.number, number)
        run.previous = number
        if not target.repeat:
            run.at += 1
    elif status == NOT_VALID:
        if any(reason.kind == "inadvertent" for reason in reasons):
            run.inadvertent = (run.inadvertent or set()) | {number}
        else:
            run.previous = number


def _result(run: Run, target: Target, number: int) -> Result:
    reasons = tuple(_failures(run, target, number))
    if not reasons:
        return VALID, target.number, ()
    failed = tuple(reason for reason in reasons if reason.kind != "grace")
    if not failed:
        return VALID, target.number, reasons
    return _STATUS.get(failed[0].kind, NOT_VALID), target.number, failed


def _failures(run: Run, target: Target, number: int) -> Iterator[Reason]:
    """Every failed check in the order of the specification; what is early within the grace period is a reason that fails nothing."""
    history = run.against.history
    dose, day = history.doses[number], history.when[number]
    if dose.flaw or dose.expired_on is not None:
        yield from _condition(dose, day)
    if dose.cvx in target.never:
        yield Reason("6.3", "inadvertent", cvx=dose.cvx)
    yield from _age(run, target, day)
    if target.gaps:
        yield from _gaps(run, target, number, day)
    if dose.cvx in history.schedule.conflicts:
        yield from _conflicts(run, dose.cvx, number, day)
    prefer, allow = target.prefer.get(dose.cvx), target.allow.get(dose.cvx)
    if not _fits(run, prefer, dose, day) and not _fits(run, allow, None, day):
        yield Reason("6.9", "vaccine age" if prefer or allow else "vaccine", cvx=dose.cvx)


def _condition(dose: Dose, day: int) -> Iterator[Reason]:
    if dose.expired_on is not None and dose.expired_on.toordinal() < day:
        yield Reason("6.1", "expired", needed=dose.expired_on.toordinal())
    if dose.flaw:
        yield Reason("6.1", "flawed")


def _age(run: Run, target: Target, day: int) -> Iterator[Reason]:
    ages = run.against.history.ages
    for row in target.ages:
        if not row.since <= day <= row.until:
            continue
        if row.max is not None and day >= ages[row.max]:
            yield Reason("6.4", "too old", ages[row.max], ages.born, least=row.max)
        elif row.abs is not None and day < ages[row.abs]:
            yield Reason("6.4", "too young", ages[row.abs], ages.born, least=row.abs, usual=row.min)
        elif row.min is not None and day < ages[row.min]:
            yield Reason("6.4", "grace", ages[row.min], ages.born, least=row.abs, usual=row.min)


def reference(run: Run, gap: Gap, limit: int) -> int:
    """The day an interval counts from, 0 where there is none (CALCDTINT-1, -2, -8, -9). Doses below `limit` are looked at."""
    history = run.against.history
    if gap.kind == PREVIOUS:
        return history.when[run.previous] if run.previous >= 0 else 0
    if gap.kind == TARGET:
        hit = run.hits.get(gap.target, -1)
        return history.when[hit] if hit >= 0 else 0
    if gap.kind == RECENT:
        unwanted = run.inadvertent or ()
        for number in range(limit - 1, -1, -1):
            if history.cvx[number] in gap.cvx and number not in unwanted:
                return history.when[number]
        return 0
    return history.active.get(gap.obs) or 0


def _gaps(run: Run, target: Target, number: int, day: int) -> Iterator[Reason]:
    """Preferable intervals must all hold (6.5); otherwise all allowable ones, of which there must be some (6.6)."""
    failed = list(_early(run, target.gaps, number, day))
    if any(reason.kind == "too soon" for reason in failed) and target.gaps_ok:
        rows = [row for row in target.gaps_ok if row.since <= day <= row.until]
        allowed = list(_early(run, target.gaps_ok, number, day))
        if rows and not any(reason.kind == "too soon" for reason in allowed):
            return
    yield from failed


def _early(run: Run, rows: tuple[Gap, ...], number: int, day: int) -> Iterator[Reason]:
    for row in rows:
        if not row.since <= day <= row.until:
            continue
        since = reference(run, row, number)
        if not since:
            continue
        if row.abs is not None and day < (needed := add(since, row.abs)):
            yield Reason("6.5", "too soon", needed, since, least=row.abs, usual=row.min)
        elif row.min is not None and day < (needed := add(since, row.min)):
            yield Reason("6.5", "grace", needed, since, least=row.abs, usual=row.min)


def _conflicts(run: Run, cvx: str, number: int, day: int) -> Iterator[Reason]:
    """Live vaccines too close to each other, over the whole history (6.7)."""
    history, results = run.against.history, run.results
    windows = history.schedule.conflicts[cvx]
    for earlier in range(number):
        window = windows.get(history.cvx[earlier])
        if window is None:
            continue
        since = history.when[earlier]
        counted = earlier not in results or results[earlier][0] == VALID
        end = window[1] if counted else window[2]
        if add(since, window[0]) <= day < (needed := add(since, end)):
            yield Reason("6.7", "conflict", needed, since, history.cvx[earlier], end, window[2])


def _fits(run: Run, products: tuple[Product, ...] | None, dose: Dose | None, day: int) -> bool:
    """Whether one of the products fits by age and, where a dose is given to compare, by manufacturer and trade name."""
    history = run.against.history
    for product in products or ():
        if not history.aged((product.begin, product.end), day):
            continue
        if dose is None or _same_make(product, dose):
            return True
    return False


def _same_make(product: Product, dose: Dose) -> bool:
    """A row that names a manufacturer wants it; one that names a trade name wants it where the dose's is known (6.8)."""
    if product.mvx and product.mvx != dose.mvx:
        return False
    return not (product.trade and dose.trade) or product.trade.casefold() == dose.trade.casefold()
