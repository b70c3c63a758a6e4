"""Where the synthetic practice works and who works there. Everybody and everything is invented."""

from __future__ import annotations

from datetime import date

from commonchart.demo.codes import SNOMED, concept, term
from commonchart.demo.folder import Entry, Resource, moment, named, years_before

PRACTICE = named("Organization", "alder")
HOSPITAL = named("Organization", "northgate")
LABORATORY = named("Organization", "lakeside")
PAYERS = {
    "Harborlight Mutual": named("Organization", "harborlight"),
    "Pinecrest Community Plan": named("Organization", "pinecrest"),
    "Silver Meadow Senior Plan": named("Organization", "silver"),
}

# login-like key, given, family, suffix, organisation, specialty
STAFF = (
    ("ferreira", "Inês", "Ferreira-Lund", "MD", PRACTICE, "Family medicine"),
    ("osei", "Kwabena", "Osei", "MD", PRACTICE, "Internal medicine"),
    ("halloran", "Maeve", "Halloran", "NP", PRACTICE, "Family medicine"),
    ("nakagawa", "Ren", "Nakagawa", "MD", PRACTICE, "Pediatrics"),
    ("demir", "Zeynep", "Demir", "DO", PRACTICE, "Family medicine"),
    ("villanueva", "Tomás", "Villanueva", "MD", HOSPITAL, "Hospital medicine"),
    ("strand", "Solveig", "Strand", "MD", HOSPITAL, "Emergency medicine"),
    ("achebe", "Ngozi", "Achebe-Ward", "MD", HOSPITAL, "Nephrology"),
    ("lakeside", "Petra", "Kovařík", "MT", LABORATORY, "Laboratory medicine"),
)  # fmt: skip
PEOPLE = {key: named("Practitioner", key) for key, *_ in STAFF}
NAMES = {PEOPLE[key]: f"{given} {family}" for key, given, family, *_ in STAFF}
CLINICIANS = tuple(PEOPLE[key] for key in ("ferreira", "osei", "halloran", "nakagawa", "demir"))
LAB_ACTOR, WARD, EMERGENCY, NEPHROLOGY = (
    PEOPLE[key] for key in ("lakeside", "villanueva", "strand", "achebe")
)

LOCATIONS = {
    "office": (named("Location", "office"), "Alder Street, first floor", PRACTICE),
    "ward": (named("Location", "ward"), "Northgate, ward 4 East", HOSPITAL),
    "emergency": (named("Location", "emergency"), "Northgate, emergency department", HOSPITAL),
    "dialysis": (named("Location", "dialysis"), "Northgate, dialysis unit", HOSPITAL),
}


def reference(rtype: str, id: str) -> Resource:
    """A Reference."""
    return {"reference": f"{rtype}/{id}"}


def shared(until: date) -> list[Entry]:
    """Organisations, people who work there and places: recorded before the first patient came."""
    when = moment(years_before(until, 19))
    made = [*_organizations(), *_practitioners(), *_locations()]
    return [Entry(when, PRACTICE, PEOPLE["ferreira"], one) for one in made]


def _organizations() -> list[Resource]:
    kinds = (
        (PRACTICE, "Alder Street Practice", "prov", "+1-555-0100", "18 Alder Street"),
        (HOSPITAL, "Northgate Hospital", "prov", "+1-555-0101", "200 Northgate Avenue"),
        (LABORATORY, "Lakeside Laboratory", "prov", "+1-555-0102", "7 Harbor Row"),
        *((id, name, "pay", "+1-555-0103", "1 Exchange Plaza") for name, id in PAYERS.items()),
    )
    return [
        {
            "resourceType": "Organization", "id": id, "active": True, "type": [term("organization-type", kind)], "name": name,
            "telecom": [{"system": "phone", "value": phone}],
            "address": [{"line": [line], "city": "Alderton", "state": "OH", "postalCode": "44001", "country": "US"}],
        }
        for id, name, kind, phone, line in kinds
    ]  # fmt: skip


def _practitioners() -> list[Resource]:
    made: list[Resource] = []
    for key, given, family, suffix, org, specialty in STAFF:
        made.append(
            {
                "resourceType": "Practitioner",
                "id": PEOPLE[key],
                "active": True,
                "identifier": [{"system": "urn:commonchart:demo:staff", "value": key}],
                "name": [{"family": family, "given": [given], "suffix": [suffix]}],
            }
        )
        made.append(
            {
                "resourceType": "PractitionerRole",
                "id": named("PractitionerRole", key),
                "active": True,
                "practitioner": reference("Practitioner", PEOPLE[key]),
                "organization": reference("Organization", org),
                "specialty": [{"text": specialty}],
            }
        )
    return made


def _locations() -> list[Resource]:
    return [
        {
            "resourceType": "Location",
            "id": id,
            "status": "active",
            "name": name,
            "managingOrganization": reference("Organization", org),
            "physicalType": concept("Area", (SNOMED, "")),
        }
        for id, name, org in LOCATIONS.values()
    ]
