"""Codes of HL7 v2 tables beside FHIR's: only those that a registry's messages need.

Source: the v2-to-FHIR mappings (0001, 0190, 0200, 0201, 0202) and the CDC immunization implementation guide 2.5.1
release 1.5 (NIP001, NIP002, 0322, 0323).
"""

from __future__ import annotations

from urllib.parse import quote, unquote

TERM = "http://terminology.hl7.org/CodeSystem/"
LOINC = "http://loinc.org"
CVX = "http://hl7.org/fhir/sid/cvx"
NDC = "http://hl7.org/fhir/sid/ndc"
MVX = "http://hl7.org/fhir/sid/mvx"
UCUM = "http://unitsofmeasure.org"
SSN = "http://hl7.org/fhir/sid/us-ssn"
CDCREC = "urn:oid:2.16.840.1.113883.6.238"
KINDS = f"{TERM}v2-0203"

TABLE = "urn:hl7-v2:table:"
AUTHORITY = "urn:hl7-v2:authority:"
SENDER = "urn:hl7-v2:sender:"

SYSTEMS = {
    "CVX": CVX,
    "NDC": NDC,
    "MVX": MVX,
    "LN": LOINC,
    "SCT": "http://snomed.info/sct",
    "NCIT": "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl",
    "UCUM": UCUM,
    "C4": "http://www.ama-assn.org/go/cpt",
    "CPT": "http://www.ama-assn.org/go/cpt",
    "I10C": "http://hl7.org/fhir/sid/icd-10-cm",
    "I10": "http://hl7.org/fhir/sid/icd-10",
    "RXNORM": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "CDCREC": CDCREC,
    "HL70005": CDCREC,
    "HL70189": CDCREC,
}
_TABLES = {uri: name for name, uri in reversed(SYSTEMS.items())}

GENDERS = {"M": "male", "F": "female", "O": "other", "A": "other", "X": "other", "U": "unknown"}
NAMES = {
    "L": "official",
    "D": "usual",
    "M": "maiden",
    "N": "nickname",
    "A": "anonymous",
    "S": "anonymous",
    "T": "temp",
}
ADDRESSES = {"H": "home", "P": "home", "L": "home", "B": "work", "O": "work", "C": "temp", "BA": "old"}
USES = {"PRN": "home", "ORN": "home", "WPN": "work", "VHN": "temp", "PRS": "mobile"}
EQUIPMENT = {"PH": "phone", "CP": "phone", "FX": "fax", "BP": "pager", "Internet": "email", "X.400": "email"}

# refusal reasons of NIP002 that are a person's objection (FHIR R4 immunization-status-reason)
OBJECTIONS = frozenset({"00", "01", "03"})
NO_VACCINE = "998"
HISTORICAL = "01"

FUNDING = "30963-3"
ELIGIBILITY = "64994-7"
VACCINE_TYPE = "30956-7"
DUE_NEXT = "30979-9"
VIS = "69764-9"
VIS_PUBLISHED = "29768-9"
VIS_PRESENTED = "29769-7"
DOSE_NUMBER = "30973-2"
SCHEDULE = "59779-9"
SERIES = "59780-7"
VALIDITY = "59781-5"
DOSES = "59782-3"
STATUS = "59783-1"
DUE = "30980-7"
EARLIEST = "30981-5"
OVERDUE = "59778-1"
LATEST = "59777-3"
REASON = "30982-3"

WORDS = {
    FUNDING: "Vaccine funding source",
    ELIGIBILITY: "Vaccine funding program eligibility",
    VACCINE_TYPE: "Vaccine type",
    DUE_NEXT: "Vaccines due next",
    VIS: "Document type",
    VIS_PUBLISHED: "Date VIS published",
    VIS_PRESENTED: "Date VIS presented",
    DOSE_NUMBER: "Dose number in series",
    SCHEDULE: "Immunization schedule used",
    SERIES: "Immunization series name",
    VALIDITY: "Dose validity",
    DOSES: "Number of doses in series",
    STATUS: "Status in immunization series",
    DUE: "Date vaccine due",
    EARLIEST: "Earliest date to give",
    OVERDUE: "Date dose is overdue",
    LATEST: "Latest date to give",
    REASON: "Reason applied by forecast logic",
}


def first_of(table: dict[str, str], value: str) -> str:
    """The first v2 code that means this FHIR code, "" if none does."""
    return next((code for code, meaning in table.items() if meaning == value), "")


def system_of(table: str) -> str:
    """The FHIR system of a v2 coding system name; a name nobody here knows is kept in a urn."""
    if table.upper() in SYSTEMS:
        return SYSTEMS[table.upper()]
    if table.startswith("HL7") and table[3:].isdigit():
        return f"{TERM}v2-{table[3:]}"
    return TABLE + quote(table, safe="")


def table_of(system: str) -> str:
    """The v2 coding system name of a FHIR system: the other way of `system_of`; "" if it has none."""
    if system in _TABLES:
        return _TABLES[system]
    if system.startswith(f"{TERM}v2-"):
        return f"HL7{system.removeprefix(f'{TERM}v2-')}"
    return unquote(system.removeprefix(TABLE)) if system.startswith(TABLE) else ""


def authority(namespace: str, universal: str, kind: str) -> str:
    """The FHIR system of an assigning authority (HD): its OID or address, else its name in a urn; "" for none."""
    if universal:
        return _universal(universal, kind)
    return AUTHORITY + quote(namespace, safe="") if namespace else ""


def _universal(universal: str, kind: str) -> str:
    if kind in ("ISO", "UUID"):
        return f"urn:{'oid' if kind == 'ISO' else 'uuid'}:{universal}"
    if kind in ("URI", "URL"):
        return universal
    return f"{AUTHORITY}{quote(universal, safe='')}:{quote(kind, safe='')}"


def parts_of(system: str) -> tuple[str, str, str]:
    """(namespace, universal id, its type) of a FHIR system: the other way of `authority`."""
    if system.startswith(AUTHORITY):
        name, _, kind = system.removeprefix(AUTHORITY).partition(":")
        return ("", unquote(name), unquote(kind)) if kind else (unquote(name), "", "")
    if system.startswith("urn:oid:"):
        return "", system.removeprefix("urn:oid:"), "ISO"
    if system.startswith("urn:uuid:"):
        return "", system.removeprefix("urn:uuid:"), "UUID"
    return ("", system, "URI") if system else ("", "", "")
