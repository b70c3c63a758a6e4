"""Who the patients are: households of invented names, ages, illnesses and habits."""

from __future__ import annotations

from random import Random

from msgspec import Struct
from msgspec.structs import replace

from commonchart.demo.folder import dice

FAMILY = (
    "Abernethy-Cruz", "Adeyemi", "Ahlgren", "Alvarado Peña", "Baptiste", "Benhaddou", "Björklund", "Boateng", "Brânză", "Callowhill",
    "Castañeda", "Çelik", "Chaudhary", "Czerwiński", "Dąbrowska", "Delacroix", "Dvořáčková", "Eze", "Fairweather", "Fiorentini",
    "Fjeldstad", "Gebremariam", "Guðmundsdóttir", "Hakimi", "Hallowbrook", "Hồ", "Ibarra", "Iwasaki", "Jaramillo", "Kaleo", "Kamara",
    "Kettering", "Khumalo", "Kowalczyk", "Lindqvist", "Lô", "MacAllister", "Mbeki-Rowe", "Muñoz", "Nakamura", "Nazarian", "Nguyễn",
    "O'Dwyer", "Obradović", "Okonjo", "Ostrowska", "Özdemir", "Pacheco", "Pham", "Popescu", "Quillfeather", "Rahimi", "Ramanathan",
    "Rasmussen", "Saarinen", "Sánchez", "Schönfeld", "Sepúlveda", "Sithole", "Štěpánek", "Stonewell", "Tauiliili", "Thackeray", "Trần",
    "Uwimana", "Valdemarsson", "Van der Meer", "Wójcik", "Yamaguchi", "Yıldız", "Zamora", "Zhōu",
)  # fmt: skip
GIVEN = {
    "female": (
        "Abena", "Aiko", "Aisling", "Amélie", "Anahí", "Beatriz", "Chidinma", "Dagný", "Delphine", "Eleni", "Esperanza", "Fatima",
        "Freyja", "Hana", "Inés", "Ingrid", "Ioana", "Jacqueline", "Kalinda", "Leilani", "Lucía", "Małgorzata", "Margit", "Mei-Lin",
        "Nadia", "Noémie", "Oksana", "Priya", "Renée", "Rosalind", "Saoirse", "Sofía", "Tamsin", "Thandiwe", "Uxía", "Valérie",
        "Wilhelmina", "Ximena", "Yetunde", "Zuzana",
    ),
    "male": (
        "Alejandro", "Amadou", "André", "Bartholomew", "Björn", "Caoimhín", "Cyrus", "Desmond", "Dmitri", "Émile", "Ezekiel", "Faisal",
        "Gáspár", "Hiroshi", "Ignacio", "Jens", "João", "José", "Kofi", "Lachlan", "Linus", "Matéo", "Mihai", "Nikhil", "Olúwaseun",
        "Óscar", "Pádraig", "Quentin", "Rafael", "René", "Søren", "Tariq", "Théo", "Tobias", "Viktor", "Wendell", "Xavier", "Yusuf",
        "Zoltán", "Ángel",
    ),
}  # fmt: skip
STREETS = (
    "Mill Lane",
    "Orchard Road",
    "Harbor Row",
    "Canal Street",
    "Linden Avenue",
    "Quarry Hill",
    "Station Road",
    "Maple Court",
)

RACES = (("2106-3", "White"), ("2054-5", "Black or African American"), ("2028-9", "Asian"), ("", ""))


class Plan(Struct, frozen=True):
    """One patient before their record is lived. `ill` says since how many years; `keeps` how much of what is due is done."""

    key: str
    given: str
    family: str
    sex: str
    age: float
    house: int = 0
    years: float = 4
    visits: float = 2
    keeps: float = 0.6
    ill: tuple[tuple[str, float], ...] = ()
    allergies: tuple[str, ...] = ()
    smoker: str = "never"
    race: int = 3
    clinician: int = 0
    died: float | None = None
    height: float = 170
    build: float = 25
    role: str = "head"

    def has(self, name: str) -> bool:
        """Whether this illness is in the plan."""
        return any(one == name for one, _ in self.ill)


def households(count: int) -> list[Plan]:
    """Plans of about that many people who live in families, the same ones every time."""
    made: list[Plan] = []
    house = 100
    while len(made) < count:
        made += _household(house, count - len(made))
        house += 1
    return made


def _household(house: int, room: int) -> list[Plan]:
    chance = dice("house", str(house))
    family = chance.choice(FAMILY)
    kind = chance.choices(("family", "couple", "alone", "old"), (45, 20, 20, 15))[0]
    race = chance.choices(range(4), (52, 20, 16, 12))[0]
    first = {"family": (24, 48), "couple": (24, 72), "alone": (19, 88), "old": (66, 93)}[kind]
    ages = [chance.uniform(*first)]
    if kind != "alone":
        ages.append(ages[0] + chance.uniform(-4, 4))
    adults = len(ages)
    if kind == "family":
        ages += [
            max(0.15, ages[0] - chance.uniform(20, 33))
            for _ in range(chance.choices((1, 2, 3), (40, 40, 20))[0])
        ]
    sexes = ["female", "male"] if chance.random() < 0.9 else ["female", "female"]
    made = []
    for n, age in enumerate(ages[:room]):
        sex = sexes[n] if n < adults else chance.choice(("female", "male"))
        made.append(
            _member(chance, f"{house}-{n}", family, sex, age, house, race, "head" if n < adults else "child")
        )
    return made


def _member(
    chance: Random, key: str, family: str, sex: str, age: float, house: int, race: int, role: str
) -> Plan:
    heavy = chance.random() < 0.3
    plan = Plan(
        key, chance.choice(GIVEN[sex]), family, sex, round(age, 2), house,
        years=round(min(age, chance.uniform(1.2, 7)), 2),
        visits=round(chance.uniform(0.6, 2.2), 1),
        keeps=round(chance.choice((0.25, 0.5, 0.7, 0.9)), 2),
        smoker=chance.choices(("never", "former", "current"), (60, 25, 15))[0] if age >= 18 else "never",
        race=race, clinician=3 if age < 16 else chance.choice((0, 1, 2, 4)),
        height=round(chance.gauss(163 if sex == "female" else 176, 6), 1),
        build=round(chance.uniform(31, 39) if heavy else chance.uniform(20, 29), 1),
        allergies=chance.choices(((), ("none",), ("penicillin",), ("peanut",), ("sulfa", "latex")), (28, 44, 14, 7, 7))[0],
        role=role,
    )  # fmt: skip
    ill = tuple(_illnesses(chance, age, heavy, sex))
    busy = 1.6 if len(ill) > 1 else 1.0
    died = round(chance.uniform(0.1, 2), 2) if age > 80 and chance.random() < 0.2 else None
    return replace(plan, ill=ill, visits=round(plan.visits * busy, 1), died=died)


def _illnesses(chance: Random, age: float, heavy: bool, sex: str) -> list[tuple[str, float]]:
    """Illness and for how many years: likelier with age and weight."""
    if age < 18:
        return [
            (name, age * 0.4)
            for name, p in (("asthma", 0.1), ("eczema", 0.12))
            if age > 2 and chance.random() < p
        ]
    grade = max(0.0, (age - 30) / 60) + (0.12 if heavy else 0)
    odds = {
        "hypertension": 0.75 * grade, "diabetes": 0.35 * grade, "lipids": 0.55 * grade, "kidney": 0.25 * max(0, grade - 0.4),
        "osteoarthritis": 0.3 * grade, "fibrillation": 0.22 * max(0, grade - 0.5), "failure": 0.18 * max(0, grade - 0.5),
        "copd": 0.12 * grade, "thyroid": 0.14 if sex == "female" else 0.03, "depression": 0.11, "asthma": 0.07, "anxiety": 0.07,
        "migraine": 0.07, "reflux": 0.12, "prediabetes": 0.16 * grade, "crohn": 0.01, "hiv": 0.01, "bipolar": 0.012,
        "colon-cancer": 0.03 * grade, "hepatitis-c": 0.012, "brca": 0.012 if sex == "female" else 0,
        "no-uterus": 0.12 * grade if sex == "female" else 0, "hospice": 0.15 if age > 88 else 0,
    }  # fmt: skip
    found = [
        (name, round(chance.uniform(0.5, min(12, age - 17)), 2))
        for name, p in odds.items()
        if chance.random() < p
    ]
    if heavy:
        found.append(("obesity", round(chance.uniform(1, min(8, age - 17)), 2)))
    names = {name for name, _ in found}
    return [(name, since) for name, since in found if not (name == "prediabetes" and "diabetes" in names)]
