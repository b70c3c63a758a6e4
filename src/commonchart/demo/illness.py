"""Long illnesses as data: what they are called, what is measured, which medicines come one after another."""

from __future__ import annotations

from msgspec import Struct


class Step(Struct, frozen=True):
    """The next medicine or dose. The same `slot` again is a change of dose; `lowers` is what it does to the measure."""

    slot: str
    drug: str
    dose: str
    lowers: float


class Illness(Struct, frozen=True):
    """A course: the measure begins at `start`, drifts by `drift` a year and falls with each step taken above `goal`."""

    icd: str
    text: str
    snomed: str = ""
    measure: str = ""
    start: float = 0
    drift: float = 0
    goal: float = 0
    floor: float = 0
    ladder: tuple[Step, ...] = ()
    checks: tuple[tuple[str, int], ...] = ()


ILLNESSES = {
    "diabetes": Illness(
        "E11.9", "Type 2 diabetes", "44054006", "a1c", 8.3, 0.22, 7.2, 5.9,
        (Step("metformin", "metformin-500", "1 tablet twice a day with meals", 0.8),
         Step("metformin", "metformin-1000", "1 tablet twice a day with meals", 0.5),
         Step("sglt2", "empagliflozin", "1 tablet each morning", 0.7),
         Step("insulin", "glargine", "14 units at bedtime", 1.1)),
        (("a1c", 5), ("metabolic", 10), ("lipids", 13), ("uacr", 13))),
    "prediabetes": Illness("R73.03", "Prediabetes", "15777000", "a1c", 5.9, 0.03, 9, 5.7, (), (("a1c", 14),)),
    "hypertension": Illness(
        "I10", "Essential hypertension", "38341003", "systolic", 156, 0.6, 134, 116,
        (Step("acei", "lisinopril-10", "1 tablet each morning", 10),
         Step("acei", "lisinopril-20", "1 tablet each morning", 6),
         Step("amlodipine", "amlodipine", "1 tablet each evening", 9),
         Step("thiazide", "chlorthalidone", "1 tablet each morning", 7)),
        (("metabolic", 12), ("lipids", 24))),
    "lipids": Illness(
        "E78.5", "High cholesterol", "55822004", "ldl", 164, 1, 110, 62,
        (Step("statin", "atorvastatin-20", "1 tablet at night", 52), Step("statin", "atorvastatin-40", "1 tablet at night", 18)),
        (("lipids", 12),)),
    "kidney": Illness("N18.31", "Chronic kidney disease, stage 3a", "433144002", "egfr", 57, -2.2, 0, 8, (),
                      (("metabolic", 6), ("uacr", 12), ("minerals", 14))),
    "asthma": Illness("J45.40", "Asthma", "195967001", ladder=(
        Step("reliever", "albuterol", "2 puffs when needed", 0), Step("preventer", "budesonide", "2 puffs twice a day", 0))),
    "copd": Illness("J44.9", "Chronic obstructive lung disease", "13645005", ladder=(
        Step("reliever", "albuterol", "2 puffs when needed", 0), Step("lama", "tiotropium", "1 capsule inhaled each morning", 0))),
    "depression": Illness(
        "F33.1", "Depression, recurrent", "35489007", "phq9", 17, 0, 6, 2,
        (Step("ssri", "sertraline-50", "1 tablet each morning", 6), Step("ssri", "sertraline-100", "1 tablet each morning", 5))),
    "thyroid": Illness(
        "E03.9", "Underactive thyroid", "40930008", "tsh", 9.4, 0.15, 4, 1.2,
        (Step("thyroid", "levothyroxine-50", "1 tablet each morning, before food", 4.8),
         Step("thyroid", "levothyroxine-75", "1 tablet each morning, before food", 2)),
        (("thyroid", 8),)),
    "fibrillation": Illness(
        "I48.20", "Atrial fibrillation, permanent", "49436004", ladder=(
            Step("anticoagulant", "warfarin", "as told after each INR", 0), Step("rate", "metoprolol", "1 tablet each morning", 0)),
        checks=(("clotting", 1), ("metabolic", 10), ("blood-count", 12))),
    "failure": Illness(
        "I50.22", "Heart failure with reduced ejection fraction", "84114007", "bnp", 2600, 60, 900, 350,
        (Step("loop", "furosemide", "1 tablet each morning", 700), Step("beta", "carvedilol", "1 tablet twice a day", 600),
         Step("mra", "spironolactone", "1 tablet each morning", 400)),
        (("heart", 7), ("metabolic", 5))),
    "obesity": Illness("E66.9", "Obesity", "414916001", ladder=(Step("glp1", "semaglutide", "once a week under the skin", 0),),
                       checks=(("liver", 24),)),
    "osteoarthritis": Illness("M17.11", "Osteoarthritis of the right knee", "239873007"),
    "reflux": Illness("K21.9", "Gastro-oesophageal reflux", "235595009"),
    "migraine": Illness("G43.009", "Migraine without aura", "37796009"),
    "anxiety": Illness("F41.1", "Generalised anxiety", "21897009"),
    "hiv": Illness("B20", "HIV infection", "86406008", checks=(("metabolic", 8), ("blood-count", 8))),
    "brca": Illness("Z15.01", "BRCA1 gene variant, disease-causing"),
    "no-uterus": Illness("Z90.710", "Uterus and cervix removed", "428078001"),
    "crohn": Illness("K50.90", "Crohn's disease", "34000006", checks=(("blood-count", 8),)),
    "colon-cancer": Illness("Z85.038", "Bowel cancer, treated in the past"),
    "hepatitis-c": Illness("B18.2", "Chronic hepatitis C", "128302006", checks=(("liver", 6),)),
    "bipolar": Illness("F31.9", "Bipolar disorder", "13746004"),
    "hospice": Illness("Z51.5", "Hospice care", "385763009"),
    "pregnancy": Illness("Z34.90", "Pregnancy", "77386006", ladder=(Step("folate", "folic-acid", "1 tablet each day", 0),),
                         checks=(("blood-count", 3),)),
    "eczema": Illness("L20.9", "Eczema", "24079001"),
}  # fmt: skip

# what comes and goes: illness, ICD-10-CM, days until it is over, a medicine or none
BRIEF = (
    ("Acute bronchitis", "J20.9", 16, ""),
    ("Urinary tract infection", "N39.0", 9, ""),
    ("Low back pain", "M54.50", 40, ""),
    ("Sprained ankle", "S93.401A", 35, ""),
    ("Sinusitis", "J01.90", 14, ""),
    ("Contact dermatitis", "L25.9", 12, ""),
)
BRIEF_CHILD = (
    ("Middle ear infection", "H66.90", 12, "amoxicillin"),
    ("Viral infection of the upper airway", "J06.9", 8, ""),
    ("Croup", "J05.0", 5, "prednisone"),
)
