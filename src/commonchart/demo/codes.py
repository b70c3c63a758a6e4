"""What the synthetic practice speaks of: tests, illnesses, medicines and vaccines, as codes with words of our own."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
CVX = "http://hl7.org/fhir/sid/cvx"
CPT = "http://www.ama-assn.org/go/cpt"
UCUM = "http://unitsofmeasure.org"
TERM = "http://terminology.hl7.org/CodeSystem/"
ACT = TERM + "v3-ActCode"

SHOWN = {
    "mm[Hg]": "mmHg",
    "Cel": "°C",
    "mL/min/{1.73_m2}": "mL/min/1.73 m²",
    "kg/m2": "kg/m²",
    "10*3/uL": "10³/µL",
    "m[IU]/L": "mIU/L",
    "{score}": "points",
    "{INR}": "INR",
}


class Test(Struct, frozen=True):
    """One measurement: code, words, unit, digits, what healthy people have, the reference range and the critical limits."""

    code: str
    text: str
    unit: str
    digits: int
    mean: float
    spread: float
    low: float | None = None
    high: float | None = None
    critical_low: float | None = None
    critical_high: float | None = None


TESTS = {
    "heart-rate": Test("8867-4", "Heart rate", "/min", 0, 72, 8),
    "temperature": Test("8310-5", "Body temperature", "Cel", 1, 36.7, 0.2),
    "oxygen": Test("59408-5", "Oxygen saturation", "%", 0, 97.6, 0.9),
    "breaths": Test("9279-1", "Respiratory rate", "/min", 0, 15, 1.6),
    "weight": Test("29463-7", "Body weight", "kg", 1, 75, 0.6),
    "height": Test("8302-2", "Body height", "cm", 1, 170, 0.2),
    "bmi": Test("39156-5", "Body mass index", "kg/m2", 1, 25, 0),
    "a1c": Test("4548-4", "Hemoglobin A1c", "%", 1, 5.3, 0.2, 4.0, 5.6, None, 14),
    "glucose": Test("2345-7", "Glucose", "mg/dL", 0, 95, 9, 70, 99, 54, 400),
    "fasting-glucose": Test("1558-6", "Fasting glucose", "mg/dL", 0, 90, 6, 70, 99, 54, 400),
    "creatinine": Test("2160-0", "Creatinine", "mg/dL", 2, 0.9, 0.03, 0.55, 1.2),
    "egfr": Test("98979-8", "eGFR (CKD-EPI 2021)", "mL/min/{1.73_m2}", 0, 95, 2, 60),
    "urea": Test("3094-0", "Urea nitrogen", "mg/dL", 0, 14, 3, 7, 20),
    "sodium": Test("2951-2", "Sodium", "mmol/L", 0, 140, 1.6, 135, 145, 120, 160),
    "potassium": Test("2823-3", "Potassium", "mmol/L", 1, 4.2, 0.25, 3.5, 5.0, 2.8, 6.2),
    "chloride": Test("2075-0", "Chloride", "mmol/L", 0, 103, 1.8, 98, 107),
    "bicarbonate": Test("2028-9", "Carbon dioxide, total", "mmol/L", 0, 25, 1.4, 22, 29),
    "calcium": Test("17861-6", "Calcium", "mg/dL", 1, 9.4, 0.25, 8.6, 10.2, 6.5, 13),
    "phosphate": Test("2777-1", "Phosphate", "mg/dL", 1, 3.5, 0.4, 2.5, 4.5),
    "pth": Test("2731-8", "Parathyroid hormone", "pg/mL", 0, 42, 9, 15, 65),
    "albumin": Test("1751-7", "Albumin", "g/dL", 1, 4.2, 0.2, 3.5, 5.0),
    "cholesterol": Test("2093-3", "Cholesterol, total", "mg/dL", 0, 178, 12, None, 200),
    "hdl": Test("2085-9", "HDL cholesterol", "mg/dL", 0, 54, 4, 40),
    "ldl": Test("13457-7", "LDL cholesterol, calculated", "mg/dL", 0, 104, 8, None, 100),
    "triglycerides": Test("2571-8", "Triglycerides", "mg/dL", 0, 110, 22, None, 150),
    "hemoglobin": Test("718-7", "Hemoglobin", "g/dL", 1, 13.9, 0.4, 12.0, 16.5, 7.0, 20),
    "hematocrit": Test("4544-3", "Hematocrit", "%", 1, 41.5, 1.2, 36, 49),
    "leukocytes": Test("6690-2", "White blood cells", "10*3/uL", 1, 6.6, 1.1, 4.0, 11.0),
    "platelets": Test("777-3", "Platelets", "10*3/uL", 0, 245, 28, 150, 400, 20, 1000),
    "mcv": Test("787-2", "Mean corpuscular volume", "fL", 0, 89, 2.5, 80, 100),
    "ferritin": Test("2276-4", "Ferritin", "ng/mL", 0, 95, 30, 30, 300),
    "tsh": Test("3016-3", "Thyroid stimulating hormone", "m[IU]/L", 2, 1.9, 0.5, 0.4, 4.0),
    "alt": Test("1742-6", "Alanine aminotransferase", "U/L", 0, 23, 6, 7, 45),
    "uacr": Test("9318-7", "Urine albumin/creatinine ratio", "mg/g", 0, 9, 3, None, 30),
    "bnp": Test("33762-6", "NT-proBNP", "pg/mL", 0, 70, 20, None, 125),
    "inr": Test("6301-6", "INR", "{INR}", 1, 1.0, 0.05, 2.0, 3.0, None, 5.0),
    "phq9": Test("44261-6", "PHQ-9 total score", "{score}", 0, 2, 1.3, None, 4),
    "b12": Test("2132-9", "Vitamin B12", "pg/mL", 0, 420, 70, 200, 900),
    "lead": Test("5671-3", "Lead in blood", "ug/dL", 1, 0.9, 0.4, None, 3.5),
}  # fmt: skip


class Panel(Struct, frozen=True):
    """Tests that are ordered and reported together."""

    code: str
    text: str
    tests: tuple[str, ...]


PANELS = {
    "metabolic": Panel("51990-0", "Basic metabolic panel", ("glucose", "urea", "creatinine", "egfr", "sodium", "potassium", "chloride", "bicarbonate", "calcium")),
    "lipids": Panel("57698-3", "Lipid panel", ("cholesterol", "triglycerides", "hdl", "ldl")),
    "blood-count": Panel("58410-2", "Blood count", ("leukocytes", "hemoglobin", "hematocrit", "mcv", "platelets")),
    "a1c": Panel("4548-4", "Hemoglobin A1c", ("a1c",)),
    "uacr": Panel("9318-7", "Urine albumin/creatinine ratio", ("uacr",)),
    "thyroid": Panel("3016-3", "Thyroid stimulating hormone", ("tsh",)),
    "heart": Panel("33762-6", "NT-proBNP", ("bnp",)),
    "clotting": Panel("6301-6", "INR", ("inr",)),
    "liver": Panel("1742-6", "Alanine aminotransferase", ("alt",)),
    "b12": Panel("2132-9", "Vitamin B12", ("b12",)),
    "lead": Panel("5671-3", "Lead in blood", ("lead",)),
    "minerals": Panel("", "Kidney minerals", ("phosphate", "pth", "albumin", "ferritin")),
}  # fmt: skip

DRUGS = {
    "metformin-500": ("861007", "Metformin 500 mg tablet"),
    "metformin-1000": ("861004", "Metformin 1000 mg tablet"),
    "empagliflozin": ("1545653", "Empagliflozin 10 mg tablet"),
    "glargine": ("274783", "Insulin glargine 100 units/mL pen"),
    "lisinopril-10": ("314076", "Lisinopril 10 mg tablet"),
    "lisinopril-20": ("314077", "Lisinopril 20 mg tablet"),
    "losartan": ("52175", "Losartan 50 mg tablet"),
    "amlodipine": ("197361", "Amlodipine 5 mg tablet"),
    "chlorthalidone": ("2409", "Chlorthalidone 12.5 mg tablet"),
    "atorvastatin-20": ("617310", "Atorvastatin 20 mg tablet"),
    "atorvastatin-40": ("617311", "Atorvastatin 40 mg tablet"),
    "levothyroxine-50": ("10582", "Levothyroxine 50 mcg tablet"),
    "levothyroxine-75": ("10582", "Levothyroxine 75 mcg tablet"),
    "albuterol": ("435", "Albuterol 90 mcg inhaler"),
    "budesonide": ("19831", "Budesonide/formoterol 160/4.5 mcg inhaler"),
    "tiotropium": ("274535", "Tiotropium 18 mcg inhalation capsule"),
    "sertraline-50": ("36437", "Sertraline 50 mg tablet"),
    "sertraline-100": ("36437", "Sertraline 100 mg tablet"),
    "warfarin": ("11289", "Warfarin 5 mg tablet"),
    "apixaban": ("1364430", "Apixaban 5 mg tablet"),
    "metoprolol": ("6918", "Metoprolol succinate 50 mg tablet"),
    "carvedilol": ("20352", "Carvedilol 12.5 mg tablet"),
    "furosemide": ("4603", "Furosemide 40 mg tablet"),
    "spironolactone": ("9997", "Spironolactone 25 mg tablet"),
    "semaglutide": ("1991302", "Semaglutide 0.5 mg weekly pen"),
    "folic-acid": ("4511", "Folic acid 0.4 mg tablet"),
    "amoxicillin": ("723", "Amoxicillin 400 mg/5 mL suspension"),
    "prednisone": ("8640", "Prednisone 20 mg tablet"),
    "sevelamer": ("", "Sevelamer carbonate 800 mg tablet"),
    "epoetin": ("", "Epoetin alfa injection at dialysis"),
    "multivitamin": ("", "Multivitamin, over the counter"),
}


def concept(text: str, *codes: tuple[str, str]) -> dict[str, Any]:
    """A CodeableConcept: our words, and (system, code) without the systems' words."""
    codings = [{"system": system, "code": code} for system, code in codes if code]
    return ({"coding": codings} if codings else {}) | {"text": text}


def term(name: str, code: str, text: str = "") -> dict[str, Any]:
    """A CodeableConcept out of HL7's own terminology."""
    return {"coding": [{"system": TERM + name, "code": code}]} | ({"text": text} if text else {})


def drug(key: str) -> dict[str, Any]:
    """The medication as a CodeableConcept; some are words only, as in life."""
    code, text = DRUGS[key]
    return concept(text, (RXNORM, code))
