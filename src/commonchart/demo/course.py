"""How a person's illnesses go: what would be measured on a day, given what has been taken until then."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from commonchart.demo.body import creatinine, egfr, grown, rounded
from commonchart.demo.codes import PANELS, TESTS
from commonchart.demo.folder import Folder, years_before
from commonchart.demo.illness import ILLNESSES, Illness, Step
from commonchart.demo.people import Plan


class Course:
    """The state of one person: which steps of treatment were taken, what was checked last, what is known so far."""

    def __init__(self, plan: Plan, folder: Folder) -> None:
        self.plan, self.folder, self.dice = plan, folder, folder.dice
        self.born = years_before(folder.until, plan.age)
        self.onset = {name: years_before(folder.until, since) for name, since in plan.ill}
        self.steps: dict[str, int] = {}
        self.stepped: dict[str, date] = {}
        self.checked: dict[str, date] = {}
        self.known: set[str] = set()
        self.seen: dict[str, Decimal] = {}
        self.height = rounded(plan.height + self.dice.uniform(-0.5, 0.5), 1)

    def age(self, day: date) -> float:
        """Years since birth."""
        return (day - self.born).days / 365.25

    def ill(self, day: date) -> list[tuple[str, Illness]]:
        """The illnesses that have begun by then."""
        return [(name, ILLNESSES[name]) for name, began in self.onset.items() if began <= day]

    def level(self, name: str, day: date) -> float:
        """What the illness's measure would be that day, without chance."""
        illness = ILLNESSES[name]
        years = max(0.0, (day - self.onset[name]).days / 365.25)
        taken = illness.ladder[: self.steps.get(name, 0)]
        lowered = sum(step.lowers for step in taken)
        return max(illness.floor, illness.start + illness.drift * years - lowered)

    def next_step(self, name: str, day: date) -> Step | None:
        """The step of treatment that a clinician takes today: the measure is above its goal and the last step had time."""
        illness, taken = ILLNESSES[name], self.steps.get(name, 0)
        if taken >= len(illness.ladder):
            return None
        last = self.stepped.get(name)
        if last and (day - last).days < 75:
            return None
        if illness.measure and self.level(name, day) <= illness.goal and taken:
            return None
        return illness.ladder[taken]

    def pressure(self, day: date) -> tuple[int, int]:
        """Systolic and diastolic blood pressure as somebody reads it off."""
        began = self.onset.get("hypertension")
        age = self.age(day)
        if age < 16:
            top = 88 + age * 1.6
        elif began and began <= day:
            top = self.level("hypertension", day)
        else:
            top = 112 + max(0, age - 30) * 0.28
        systolic = round(top + self.dice.gauss(0, 5 if age >= 16 else 3))
        return systolic, round(systolic * 0.5 + 15 + self.dice.gauss(0, 3))

    def build(self, day: date) -> tuple[Decimal, Decimal]:
        """Weight in kg and height in cm."""
        age = self.age(day)
        if age < 18:
            height, weight = grown(age, self.plan.sex)
            tall = self.plan.height / (163 if self.plan.sex == "female" else 176)
            return rounded(weight * tall * (0.8 + self.plan.build / 110), 1), rounded(height * tall, 1)
        mass = self.plan.build + self.dice.gauss(0, 0.25)
        if "semaglutide" in self.known and self.steps.get("obesity"):
            mass -= min(4.5, (day - self.stepped["obesity"]).days / 90)
        if self.pregnant(day):
            mass += 3
        return rounded(mass * (float(self.height) / 100) ** 2, 1), self.height

    def pregnant(self, day: date) -> bool:
        """Whether the record knows of a pregnancy then."""
        began = self.onset.get("pregnancy")
        return began is not None and 0 <= (day - began).days < 280

    # ---- the laboratory

    def panel(self, name: str, day: date) -> dict[str, Decimal]:
        """Values that agree with each other and with the course."""
        found: dict[str, Decimal] = {}
        for key in PANELS[name].tests:
            found[key] = self._value(key, day, found)
        if name == "lipids":
            found["cholesterol"] = rounded(
                float(found["ldl"]) + float(found["hdl"]) + float(found["triglycerides"]) / 5, 0
            )
        self.seen |= found
        return found

    def _value(self, key: str, day: date, found: dict[str, Decimal]) -> Decimal:
        special = _SPECIAL.get(key)
        if special is not None:
            return special(self, day, found)
        test = TESTS[key]
        mean = next((self.level(name, day) for name, one in self.ill(day) if one.measure == key), test.mean)
        return rounded(max(0.1, self.dice.gauss(mean, max(test.spread, mean * 0.015))), test.digits)

    def filtration(self, day: date) -> float:
        """The kidneys' true eGFR that day."""
        if "kidney" in self.onset and self.onset["kidney"] <= day:
            return self.level("kidney", day)
        return min(112.0, 121 - 0.75 * max(20, self.age(day)))

    def _creatinine(self, day: date, found: dict[str, Decimal]) -> Decimal:
        wanted = max(5.0, self.filtration(day) + self.dice.gauss(0, 2))
        return rounded(creatinine(wanted, self.age(day), self.plan.sex), 2)

    def _egfr(self, day: date, found: dict[str, Decimal]) -> Decimal:
        return rounded(egfr(float(found["creatinine"]), int(self.age(day)), self.plan.sex), 0)

    def _glucose(self, day: date, found: dict[str, Decimal]) -> Decimal:
        sugar = self.level("diabetes", day) if self.onset.get("diabetes", date.max) <= day else 5.3
        return rounded(28.7 * sugar - 46.7 + self.dice.gauss(0, 14 if sugar > 6 else 6), 0)

    def _urea(self, day: date, found: dict[str, Decimal]) -> Decimal:
        return rounded(6 + 700 / max(6, self.filtration(day)) + self.dice.gauss(0, 1.5), 0)

    def _potassium(self, day: date, found: dict[str, Decimal]) -> Decimal:
        return rounded(4.1 + max(0, 50 - self.filtration(day)) * 0.02 + self.dice.gauss(0, 0.2), 1)

    def _hemoglobin(self, day: date, found: dict[str, Decimal]) -> Decimal:
        mean = 13.4 if self.plan.sex == "female" else 14.7
        return rounded(mean - max(0, 45 - self.filtration(day)) * 0.07 + self.dice.gauss(0, 0.4), 1)

    def _hematocrit(self, day: date, found: dict[str, Decimal]) -> Decimal:
        return rounded(float(found["hemoglobin"]) * 2.95 + self.dice.gauss(0, 0.3), 1)

    def _uacr(self, day: date, found: dict[str, Decimal]) -> Decimal:
        years = (
            (day - self.onset["diabetes"]).days / 365 if self.onset.get("diabetes", date.max) <= day else 0
        )
        leak = 8 + years * 6 + max(0, 60 - self.filtration(day)) * 4
        return rounded(max(3.0, self.dice.gauss(leak, leak * 0.18)), 0)

    def _inr(self, day: date, found: dict[str, Decimal]) -> Decimal:
        return rounded(max(1.1, self.dice.gauss(2.5, 0.5)), 1)

    def _phosphate(self, day: date, found: dict[str, Decimal]) -> Decimal:
        return rounded(3.5 + max(0, 40 - self.filtration(day)) * 0.05 + self.dice.gauss(0, 0.35), 1)

    def _pth(self, day: date, found: dict[str, Decimal]) -> Decimal:
        return rounded(42 + max(0, 60 - self.filtration(day)) * 5 * self.dice.uniform(0.8, 1.2), 0)


_SPECIAL = {
    "creatinine": Course._creatinine, "egfr": Course._egfr, "glucose": Course._glucose, "urea": Course._urea,
    "potassium": Course._potassium, "hemoglobin": Course._hemoglobin, "hematocrit": Course._hematocrit,
    "uacr": Course._uacr, "inr": Course._inr, "phosphate": Course._phosphate, "pth": Course._pth,
}  # fmt: skip
