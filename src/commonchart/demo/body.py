"""How bodies measure: kidney function, growth, build. Numbers are rounded as instruments report them."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

KAPPA = {"female": 0.7, "male": 0.9}
ALPHA = {"female": -0.241, "male": -0.302}

# rough middles of our own, good enough for invented children: age in years, height in cm, weight in kg
GROWTH = {
    "female": ((0, 49, 3.3), (0.25, 59, 5.8), (0.5, 65, 7.3), (1, 74, 9.2), (2, 86, 11.8), (3, 94, 13.9), (4, 101, 16), (6, 115, 20.3),
               (8, 127, 25.6), (10, 138, 32.5), (12, 151, 42), (14, 159, 50), (16, 162, 54.5), (18, 163, 57.5)),
    "male": ((0, 50, 3.4), (0.25, 61, 6.3), (0.5, 67, 7.9), (1, 76, 9.8), (2, 87, 12.4), (3, 95, 14.4), (4, 102, 16.4), (6, 116, 20.8),
             (8, 128, 25.8), (10, 139, 32.3), (12, 149, 40.5), (14, 163, 51), (16, 172, 61), (18, 176, 68)),
}  # fmt: skip


def rounded(value: float, digits: int) -> Decimal:
    """The value as it is reported: exactly that many digits after the point."""
    return Decimal(f"{value:.{digits}f}")


def egfr(creatinine: float, age: float, sex: str) -> float:
    """CKD-EPI 2021 without race (Inker et al., N Engl J Med 2021): mL/min/1.73 m2 from creatinine in mg/dL."""
    ratio = creatinine / KAPPA[sex]
    factor = 1.012 if sex == "female" else 1.0
    return 142 * min(ratio, 1) ** ALPHA[sex] * max(ratio, 1) ** -1.2 * 0.9938**age * factor


def creatinine(wanted: float, age: float, sex: str) -> float:
    """The creatinine in mg/dL that goes with an eGFR: the inverse of `egfr`."""
    rest = wanted / (142 * 0.9938**age * (1.012 if sex == "female" else 1.0))
    exponent = -1.2 if rest <= 1 else ALPHA[sex]
    return KAPPA[sex] * rest ** (1 / exponent)


def kidney_stage(value: float) -> str:
    """The KDIGO stage's ICD-10-CM code for an eGFR."""
    limits = ((90, "N18.1"), (60, "N18.2"), (45, "N18.31"), (30, "N18.32"), (15, "N18.4"))
    return next((code for limit, code in limits if value >= limit), "N18.5")


def grown(age: float, sex: str) -> tuple[float, float]:
    """Height in cm and weight in kg of a middling child of this age."""
    table = GROWTH[sex]
    for (a, height, weight), (b, height_next, weight_next) in pairwise(table):
        if age <= b:
            part = max(0.0, age - a) / (b - a)
            return height + part * (height_next - height), weight + part * (weight_next - weight)
    return table[-1][1], table[-1][2]


def body_mass(weight_kg: Decimal, height_cm: Decimal) -> Decimal:
    """BMI in kg/m2 of the weight and height as they were reported."""
    return rounded(float(weight_kg) / (float(height_cm) / 100) ** 2, 1)
