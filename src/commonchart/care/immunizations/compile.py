"""A pack made ready to be asked: offsets parsed, days as ordinals, codes as sets, series sorted by whom they are for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from msgspec import Struct

from commonchart.care.immunizations import schema
from commonchart.care.immunizations.offsets import NEVER, Offset, nominal, offset

PREVIOUS, TARGET, RECENT, SEEN = range(4)
AGE, INTERVAL, COUNT, COMPLETED = range(4)
STANDARD, RISK, EVALUATION = "standard", "risk", "evaluation"
ALWAYS = 0
Span = tuple[Offset | None, Offset | None]


class AgeSpan(Struct, frozen=True, gc=False):
    """Ages of a dose, in force from `since` to `until` (both included)."""

    abs: Offset | None
    min: Offset | None
    rec: Offset | None
    late: Offset | None
    max: Offset | None
    since: int
    until: int


class Gap(Struct, frozen=True):
    """An interval from a previous dose, a target dose, the latest of some vaccines, or an observation."""

    kind: int
    target: int
    cvx: frozenset[str]
    obs: str
    abs: Offset | None
    min: Offset | None
    rec: Offset | None
    late: Offset | None
    priority: bool
    since: int
    until: int
    row: schema.GapRow


class When(Struct, frozen=True):
    """One condition of a skip. `whole`: counts vaccines of other antigens too."""

    kind: int
    begin: Offset | None
    end: Offset | None
    first: int
    last: int
    gap: Offset | None
    op: str
    n: int
    valid: bool
    cvx: frozenset[str] | None
    whole: bool
    groups: frozenset[str]


class Together(Struct, frozen=True):
    """Conditions of which any, or all, must hold."""

    any: bool
    whens: tuple[When, ...]
    since: int
    until: int


class Skip(Struct, frozen=True):
    """Sets of which any, or all, must be met for a dose not to be needed."""

    any: bool
    sets: tuple[Together, ...]


class Product(Struct, frozen=True):
    """A vaccine of a dose: its ages, manufacturer and trade name where they matter, whether forecasts name it."""

    cvx: str
    begin: Offset | None
    end: Offset | None
    mvx: str
    trade: str
    forecast: bool


class Target(Struct, frozen=True):
    """One dose that a series asks for. `age` is its only row of ages, where that is always in force.

    `windows` are the ages at which its products fit, each with the products named in forecasts and all of them.
    """

    number: int
    ages: tuple[AgeSpan, ...]
    age: AgeSpan | None
    gaps: tuple[Gap, ...]
    gaps_ok: tuple[Gap, ...]
    products: tuple[Product, ...]
    windows: tuple[tuple[Span, tuple[str, ...], tuple[str, ...]], ...]
    prefer: dict[str, tuple[Product, ...]]
    allow: dict[str, tuple[Product, ...]]
    never: frozenset[str]
    skip_evaluating: tuple[Skip, ...]
    skip_forecasting: tuple[Skip, ...]
    repeat: bool
    season_first: int
    season_last: int
    clashes: dict[str, tuple[tuple[str, Offset], ...]]
    overriding: bool


class Series(Struct, frozen=True):
    """A way to be protected against an antigen. `waits`: asks whether other series are complete."""

    name: str
    antigen: str
    kind: str
    group: str
    group_name: str
    equivalent: frozenset[str]
    default: bool
    product: bool
    priority: str
    prefer: int
    start_min: Offset | None
    start_max: Offset | None
    needs: tuple[tuple[str, Offset | None, Offset | None], ...]
    targets: tuple[Target, ...]
    waits: bool
    shared: Span | None
    sexes: frozenset[str]


class Antigen(Struct, frozen=True):
    """One antigen. `standard` and `risk` are its series by sex, those that wait for others last.

    `idle` are the series that speak for somebody with no dose and no observation of this antigen: the default of each series
    group (8.5: nothing is scorable there). None where a group has no default, so that all must be tried.
    """

    name: str
    group: str
    standard: dict[str, tuple[Series, ...]]
    risk: dict[str, tuple[Series, ...]]
    idle: dict[str, tuple[Series, ...] | None]
    risk_obs: frozenset[str]
    immune_if: frozenset[str]
    immune_born: tuple[tuple[int, str, frozenset[str]], ...]
    stop_if: dict[str, tuple[Span, ...]]
    stop_vaccine_if: dict[str, tuple[tuple[str, Offset | None, Offset | None], ...]]
    stop_obs: frozenset[str]
    observed: frozenset[str]


class Group(Struct, frozen=True):
    """A vaccine group and its antigens."""

    name: str
    antigens: tuple[Antigen, ...]
    full: bool


class Vaccine(Struct, frozen=True):
    """A vaccine code: its name, and its antigens with the ages at which a dose counts for them."""

    name: str
    antigens: tuple[tuple[str, Offset | None, Offset | None], ...]


Conflict = tuple[Offset, Offset, Offset]


class Schedule(Struct, frozen=True):
    """A compiled pack. `conflicts[current][previous]` are windows; `age_edges`, `day_edges` and `gap_edges`
    (after a dose) are when anything may change."""

    name: str
    source: schema.Source
    groups: tuple[Group, ...]
    antigens: dict[str, Antigen]
    vaccines: dict[str, Vaccine]
    observations: dict[str, schema.ObservationRow]
    coded: dict[tuple[str, str], tuple[str, ...]]
    conflicts: dict[str, dict[str, Conflict]]
    age_edges: tuple[Offset, ...]
    age_edge_days: tuple[int, ...]
    day_edges: tuple[int, ...]
    gap_edges: tuple[Offset, ...]

    @property
    def said(self) -> str:
        """Whose schedule this is, in words."""
        return f"{self.source.authority} {self.source.version} ({self.source.published})"


def compiled(pack: schema.Pack) -> Schedule:
    """The schedule of a checked pack."""
    file = pack.schedule
    conflicts = _conflicts(file)
    antigens = {name: _antigen(antigen, file, conflicts) for name, antigen in sorted(pack.antigens.items())}
    groups = [
        Group(name, tuple(antigens[a] for a in row.antigens), row.full) for name, row in file.groups.items()
    ]
    edges = sorted(set(_age_edges(pack)), key=nominal)
    coded: dict[tuple[str, str], tuple[str, ...]] = {}
    for observation, row in sorted(file.observations.items()):
        for key in row.codes:
            coded[key] = (*coded.get(key, ()), observation)
    return Schedule(
        name=pack.name,
        source=pack.source,
        groups=tuple(sorted(groups, key=lambda group: group.name.lower())),
        antigens=antigens,
        vaccines={code: Vaccine(row.name, tuple((a, offset(b), offset(e)) for a, b, e in row.antigens)) for code, row in file.cvx.items()},
        observations=file.observations,
        coded=coded,
        conflicts=conflicts,
        age_edges=tuple(edges),
        age_edge_days=tuple(nominal(edge) for edge in edges),
        day_edges=tuple(sorted(set(_day_edges(pack)))),
        gap_edges=tuple(sorted(set(_gap_edges(pack)))),
    )  # fmt: skip


def ordinal(day: str, otherwise: int) -> int:
    """The ordinal of an ISO date, or what stands for none."""
    return date.fromisoformat(day).toordinal() if day else otherwise


def _conflicts(file: schema.ScheduleFile) -> dict[str, dict[str, Conflict]]:
    out: dict[str, dict[str, Conflict]] = {}
    for row in file.conflicts:
        begin, shortest, end = (offset(text) or (0, 0) for text in row.window)
        for pair in row.pairs:
            for current in pair.cur:
                for previous in pair.prev:
                    out.setdefault(current, {})[previous] = (begin, shortest, end)
    return out


# ---- an antigen ------------------------------------------------------------------------------------------------


def _antigen(
    file: schema.AntigenFile, shared: schema.ScheduleFile, conflicts: dict[str, dict[str, Conflict]]
) -> Antigen:
    own = {
        code for code, row in shared.cvx.items() if any(window[0] == file.antigen for window in row.antigens)
    }
    series = [_series(row, file, own, conflicts) for row in file.series]
    series.sort(key=lambda one: one.waits)
    stops: dict[str, tuple[Span, ...]] = {}
    for code, begin, end in file.stop_if:
        stops[code] = (*stops.get(code, ()), (offset(begin), offset(end)))
    stop_vaccines: dict[str, tuple[tuple[str, Offset | None, Offset | None], ...]] = {}
    for row in file.stop_vaccine_if:
        windows = tuple((cvx, offset(begin), offset(end)) for cvx, begin, end in row.cvx)
        stop_vaccines[row.obs] = (*stop_vaccines.get(row.obs, ()), *windows)
    return Antigen(
        name=file.antigen,
        group=file.group,
        standard=_by_sex([one for one in series if one.kind != RISK]),
        risk=_by_sex([one for one in series if one.kind == RISK]),
        idle={sex: _idle(members) for sex, members in _by_sex([one for one in series if one.kind != RISK]).items()},
        risk_obs=frozenset(need[0] for one in series if one.kind == RISK for need in one.needs),
        immune_if=frozenset(file.immune_if),
        immune_born=tuple((ordinal(row.before, 0), row.country, frozenset(row.unless)) for row in file.immune_born),
        stop_if=stops,
        stop_vaccine_if=stop_vaccines,
        stop_obs=frozenset(stops) | frozenset(stop_vaccines),
        observed=frozenset(stops) | frozenset(stop_vaccines) | frozenset(code for one in series for code in _observed(one)),
    )  # fmt: skip


def _observed(series: Series) -> Iterable[str]:
    """The observations that a series looks at."""
    yield from (need[0] for need in series.needs)
    yield from (gap.obs for target in series.targets for gap in target.gaps if gap.obs)


def _by_sex(series: Iterable[Series]) -> dict[str, tuple[Series, ...]]:
    every = tuple(series)
    return {
        sex: tuple(one for one in every if not one.sexes or sex in one.sexes)
        for sex in ("female", "male", "unknown")
    }


def _idle(series: tuple[Series, ...]) -> tuple[Series, ...] | None:
    defaults: dict[str, Series] = {}
    for one in series:
        if one.default:
            defaults.setdefault(one.group, one)
    return tuple(defaults.values()) if defaults.keys() == {one.group for one in series} else None


def _series(
    row: schema.SeriesRow, file: schema.AntigenFile, own: set[str], conflicts: dict[str, dict[str, Conflict]]
) -> Series:
    targets = tuple(_target(n, dose, file, own, conflicts) for n, dose in enumerate(row.doses, 1))
    waits = any(
        when.t == "completed"
        for dose in row.doses
        for skip in dose.skip
        for one in skip.sets
        for when in one.when
    )
    return Series(
        row.name, file.antigen, row.kind, row.group, row.group_name, frozenset(row.equivalent), row.default, row.product,
        row.priority, row.prefer if row.prefer is not None else 99, offset(row.start[0]), offset(row.start[1]),
        tuple((code, offset(begin), offset(end)) for code, begin, end in row.needs), targets, waits, _shared(row),
        frozenset(row.sex),
    )  # fmt: skip


def _shared(row: schema.SeriesRow) -> Span | None:
    return (offset(row.shared[0]), offset(row.shared[1])) if any(row.shared) else None


def _target(
    n: int,
    dose: schema.DoseRow,
    file: schema.AntigenFile,
    own: set[str],
    conflicts: dict[str, dict[str, Conflict]],
) -> Target:
    products = _products(file.vaccines.get(dose.prefer, ()))
    ages = tuple(_ages(row) for row in dose.age)
    clashes: dict[str, list[tuple[str, Offset]]] = {}
    for cvx in {product.cvx for product in products}:
        for previous, window in conflicts.get(cvx, {}).items():
            clashes.setdefault(previous, []).append((cvx, window[2]))
    return Target(
        number=n,
        ages=ages,
        age=ages[0] if len(ages) == 1 and (ages[0].since, ages[0].until) == (ALWAYS, NEVER) else None,
        gaps=tuple(_gap(row) for row in dose.gap),
        gaps_ok=tuple(_gap(row) for row in dose.gap_ok),
        products=products,
        windows=_windows(products),
        prefer=_by_cvx(products),
        allow=_by_cvx(_products(file.vaccines.get(dose.allow, ()))),
        never=frozenset(dose.never),
        skip_evaluating=tuple(_skip(row, own) for row in dose.skip if row.ctx != "forecast"),
        skip_forecasting=tuple(_skip(row, own) for row in dose.skip if row.ctx != "evaluation"),
        repeat=dose.repeat,
        season_first=ordinal(dose.season[0], 0),
        season_last=ordinal(dose.season[1], 0),
        clashes={previous: tuple(sorted(ends)) for previous, ends in clashes.items()},
        overriding=bool(dose.gap) and all(row.priority for row in dose.gap),
    )


def _products(rows: Iterable[schema.VaccineRow]) -> tuple[Product, ...]:
    return tuple(
        Product(row.cvx, offset(row.from_), offset(row.to), row.mvx, row.trade, row.forecast) for row in rows
    )


def _windows(products: tuple[Product, ...]) -> tuple[tuple[Span, tuple[str, ...], tuple[str, ...]], ...]:
    spans: dict[Span, list[Product]] = {}
    for product in products:
        spans.setdefault((product.begin, product.end), []).append(product)
    return tuple(
        (span, tuple(one.cvx for one in members if one.forecast), tuple(one.cvx for one in members))
        for span, members in spans.items()
    )


def _by_cvx(products: tuple[Product, ...]) -> dict[str, tuple[Product, ...]]:
    out: dict[str, tuple[Product, ...]] = {}
    for product in products:
        out[product.cvx] = (*out.get(product.cvx, ()), product)
    return out


def _ages(row: schema.AgeRow) -> AgeSpan:
    return AgeSpan(
        offset(row.abs), offset(row.min), offset(row.rec), offset(row.late), offset(row.max),
        ordinal(row.from_, ALWAYS), ordinal(row.to, NEVER),
    )  # fmt: skip


def _gap(row: schema.GapRow) -> Gap:
    kind, _, what = row.since.partition(":")
    return Gap(
        {"prev": PREVIOUS, "dose": TARGET, "cvx": RECENT, "obs": SEEN}[kind],
        int(what) if kind == "dose" else 0,
        frozenset(what.split(",")) if kind == "cvx" else frozenset(),
        what if kind == "obs" else "",
        offset(row.abs), offset(row.min), offset(row.rec), offset(row.late), row.priority,
        ordinal(row.from_, ALWAYS), ordinal(row.to, NEVER), row,
    )  # fmt: skip


def _skip(row: schema.SkipRow, own: set[str]) -> Skip:
    sets = tuple(
        Together(one.any, tuple(_when(when, own) for when in one.when), ordinal(one.from_, ALWAYS), ordinal(one.to, NEVER))
        for one in row.sets
    )  # fmt: skip
    return Skip(row.any, sets)


def _when(row: schema.WhenRow, own: set[str]) -> When:
    kinds = {"age": AGE, "interval": INTERVAL, "count": COUNT, "completed": COMPLETED}
    return When(
        kinds[row.t], offset(row.age[0]), offset(row.age[1]), ordinal(row.date[0], ALWAYS), ordinal(row.date[1], NEVER),
        offset(row.gap), row.n[:1], int(row.n[1:] or 0), row.valid, frozenset(row.cvx) if row.cvx else None,
        bool(set(row.cvx) - own), frozenset(row.groups),
    )  # fmt: skip


# ---- when anything may change by itself -------------------------------------------------------------------------


def _age_edges(pack: schema.Pack) -> Iterable[Offset]:
    """Ages at which an answer may change although no fact does: indications, contraindications, maxima, skips."""
    for file in pack.antigens.values():
        texts = [text for window in file.stop_if for text in window[1:]]
        texts += [row.to for rows in file.vaccines.values() for row in rows]
        texts += [text for row in file.stop_vaccine_if for window in row.cvx for text in window[1:]]
        for series in file.series:
            texts += [*series.start, *series.shared, *(text for need in series.needs for text in need[1:])]
            for dose in series.doses:
                texts += [age.max for age in dose.age]
                texts += [
                    text for skip in dose.skip for one in skip.sets for when in one.when for text in when.age
                ]
        yield from (found for text in texts if (found := offset(text)) is not None)


def _gap_edges(pack: schema.Pack) -> Iterable[Offset]:
    """Intervals after a dose at which another may become unneeded."""
    for file in pack.antigens.values():
        for series in file.series:
            whens = [
                when for dose in series.doses for skip in dose.skip for one in skip.sets for when in one.when
            ]
            yield from (found for when in whens if (found := offset(when.gap)) is not None)


def _day_edges(pack: schema.Pack) -> Iterable[int]:
    """Days of the calendar on which an answer may change: seasons, and rows that come into force or leave it."""
    for file in pack.antigens.values():
        for series in file.series:
            for dose in series.doses:
                rows: list[schema.AgeRow | schema.GapRow | schema.SetRow] = [
                    *dose.age,
                    *dose.gap,
                    *(one for skip in dose.skip for one in skip.sets),
                ]
                yield from (ordinal(row.from_, 0) for row in rows if row.from_)
                yield from (ordinal(row.to, 0) + 1 for row in rows if row.to)
                first, last = dose.season
                yield from ([ordinal(first, 0)] if first else [])
                yield from ([ordinal(last, 0) + 1] if last else [])
