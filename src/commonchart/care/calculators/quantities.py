"""The quantities that calculators read: unit, factors from other units, and what a living person can have.

Conversion is only by the factors listed here (clinical corrections, units): a generic one is wrong for molar units.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct


class Quantity(Struct, frozen=True):
    """A measurement: its unit, other spellings, and factors (value * factor) from other units."""

    label: str
    unit: str
    low: Decimal
    high: Decimal
    spellings: tuple[str, ...] = ()
    factors: dict[str, Decimal] = {}

    def convert(self, value: Decimal, unit: str) -> Decimal | None:
        """The value in this quantity's unit, None for a unit that is not listed."""
        if unit == self.unit or unit in self.spellings:
            return value
        factor = self.factors.get(unit)
        return None if factor is None else value * factor


def _of(label: str, unit: str, low: str, high: str, *spellings: str, **factors: dict[str, str]) -> Quantity:
    table = {name: Decimal(number) for name, number in factors.get("by", {}).items()}
    return Quantity(label, unit, Decimal(low), Decimal(high), spellings, table)


WEIGHT = _of("weight", "kg", "0.2", "650", by={"g": "0.001", "[lb_av]": "0.45359237", "lb": "0.45359237", "lbs": "0.45359237", "[oz_av]": "0.028349523125"})  # fmt: skip
HEIGHT = _of("height", "cm", "20", "272", by={"m": "100", "mm": "0.1", "[in_i]": "2.54", "in": "2.54", "[ft_i]": "30.48"})  # fmt: skip
HEAD = _of("head circumference", "cm", "15", "80", by={"mm": "0.1", "m": "100", "[in_i]": "2.54", "in": "2.54"})  # fmt: skip
CREATININE = _of("creatinine", "mg/dL", "0.05", "30", by={"umol/L": "0.011312217", "µmol/L": "0.011312217", "mmol/L": "11.312217", "mg/L": "0.1"})  # fmt: skip
CYSTATIN = _of("cystatin C", "mg/L", "0.1", "15", by={"mg/dL": "10"})
EGFR = _of("eGFR", "mL/min/{1.73_m2}", "1", "250", "mL/min/{1.73m2}", "mL/min/1.73.m2", "mL/min/1.73m2", "mL/min/1.73 m2", "mL/min/1.73 m²")  # fmt: skip
CHOLESTEROL = _of("total cholesterol", "mg/dL", "20", "1500", by={"mmol/L": "38.67"})
HDL = _of("HDL cholesterol", "mg/dL", "2", "300", by={"mmol/L": "38.67"})
SYSTOLIC = _of("systolic blood pressure", "mm[Hg]", "40", "320", "mmHg", "mm Hg")
BILIRUBIN = _of("bilirubin", "mg/dL", "0.05", "80", by={"umol/L": "0.058479532", "µmol/L": "0.058479532", "mg/L": "0.1"})  # fmt: skip
SODIUM = _of("sodium", "mmol/L", "90", "200", "meq/L", "mEq/L")
ALBUMIN = _of("albumin", "g/dL", "0.5", "8", by={"g/L": "0.1"})
INR = _of("INR", "", "0.5", "20", "1", "{INR}", "{ratio}")
AST = _of("AST", "U/L", "1", "30000", "IU/L", "[IU]/L")
ALT = _of("ALT", "U/L", "1", "30000", "IU/L", "[IU]/L")
PLATELETS = _of("platelets", "10*9/L", "1", "3000", "10*3/uL", "10*3/µL", "K/uL", "x10E3/uL", "x10E9/L", by={"/uL": "0.001", "10*6/L": "0.001"})  # fmt: skip
BMI = _of("BMI", "kg/m2", "5", "200", "kg/m²")
DOSE = _of("daily dose", "mg/d", "0.0001", "100000", "mg", by={"ug/d": "0.001", "g/d": "1000", "ug": "0.001", "g": "1000"})  # fmt: skip
PATCH = _of("patch rate", "ug/h", "1", "600", "mcg/h", "mcg/hr")
