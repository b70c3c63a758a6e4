"""How many Observations (1.9 kB, like those of ../shared/tools/fhir_load.py) and Patients (5 kB) one core validates.

    python benchmarks/bench_validate.py [--count 3000]

CPU time of one process, best of five rounds. Aims: 2,000 Observations and 800 Patients a second with every invariant; ten times that without.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from typing import Any

from commonchart.fhir.json import decode, encode
from commonchart.fhir.links import rewrite
from commonchart.fhir.validate import validate

ROUNDS = 5
UCUM = "http://unitsofmeasure.org"
TERMS = "http://terminology.hl7.org/CodeSystem/"


def observation(rng: random.Random) -> dict[str, Any]:
    """One laboratory result with narrative, identifier, range, note and component."""
    when = f"20{rng.randrange(10, 26)}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}T10:{rng.randrange(60):02}:00"
    value = round(rng.uniform(60, 100), 1)

    def quantity(number: float) -> dict[str, Any]:
        return {"value": number, "unit": "/min", "system": UCUM, "code": "/min"}

    def concept(system: str, code: str, text: str) -> dict[str, Any]:
        return {"coding": [{"system": system, "code": code, "display": text}], "text": text}

    rate = concept("http://loinc.org", "8867-4", "Heart rate")
    words = f"Heart rate: {value} /min at {when}. Made by a benchmark; it describes nobody, and no device was used."
    return {
        "resourceType": "Observation",
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{words}</p></div>',
        },
        "identifier": [{"system": "http://example.org/results", "value": f"{rng.getrandbits(128):032x}"}],
        "status": "final",
        "category": [concept(f"{TERMS}observation-category", "laboratory", "Laboratory")],
        "code": rate,
        "subject": {"reference": f"Patient/p{rng.randrange(200)}", "display": "Nobody"},
        "effectiveDateTime": f"{when}Z",
        "issued": f"{when}.000Z",
        "performer": [{"display": "A laboratory of the benchmark"}],
        "valueQuantity": quantity(value),
        "interpretation": [concept(f"{TERMS}v3-ObservationInterpretation", "N", "Normal")],
        "note": [
            {
                "text": "The sample arrived whole and in time; the machine had been checked that morning. Nothing to do."
            }
        ],
        "referenceRange": [
            {
                "low": quantity(60),
                "high": quantity(100),
                "type": concept(f"{TERMS}referencerange-meaning", "normal", "Normal Range"),
                "text": "60-100 /min",
            }
        ],
        "component": [{"code": {"text": "Second reading"}, "valueQuantity": quantity(value)}],
    }


def patient(rng: random.Random) -> dict[str, Any]:
    """One person with all that a registration desk may ask: names, contacts, addresses, languages, extensions."""
    number = rng.getrandbits(40)

    def address(use: str) -> dict[str, Any]:
        return {
            "use": use,
            "line": [f"{rng.randrange(999)} Bench Street", "Second floor"],
            "city": "Nowhere",
            "state": "MA",
            "postalCode": "00000",
            "country": "US",
            "period": {"start": "2010-01-01", "end": "2026-01-01"},
        }

    def telecom(system: str, use: str) -> dict[str, Any]:
        return {
            "system": system,
            "use": use,
            "value": f"555-{number % 10000:04}",
            "period": {"start": "2015"},
        }

    def concept(system: str, code: str) -> dict[str, Any]:
        return {"coding": [{"system": system, "code": code, "display": "as coded"}], "text": "as coded"}

    def contact(family: str) -> dict[str, Any]:
        return {
            "relationship": [concept(f"{TERMS}v2-0131", "N")],
            "name": {"family": family, "given": ["Some", "Body"]},
            "telecom": [telecom("phone", "home"), telecom("email", "work")],
            "address": address("home"),
            "gender": "unknown",
        }

    return {
        "resourceType": "Patient",
        "id": f"p{number}",
        "meta": {"versionId": "1", "lastUpdated": "2026-01-01T00:00:00.000Z"},
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p>Nobody of a benchmark</p></div>'},
        "extension": [{"url": f"http://example.org/fhir/e{n}", "valueString": "a value"} for n in range(6)],
        "identifier": [
            {"use": "official", "type": concept(f"{TERMS}v2-0203", "MR"), "system": f"http://example.org/{n}", "value": f"{number}"}
            for n in range(4)
        ],
        "active": True,
        "name": [
            {"use": use, "family": "Nobody", "given": ["Benchmark", "Made"], "prefix": ["Dr."], "period": {"start": "2001"}}
            for use in ("official", "usual", "maiden")
        ],
        "telecom": [telecom(system, use) for system in ("phone", "email") for use in ("home", "work")],
        "gender": "female",
        "birthDate": f"19{rng.randrange(10, 99)}-05-06",
        "deceasedBoolean": False,
        "address": [address("home"), address("work")],
        "maritalStatus": concept(f"{TERMS}v3-MaritalStatus", "M"),
        "contact": [contact("One"), contact("Two")],
        "communication": [{"language": concept("urn:ietf:bcp:47", "en-US"), "preferred": True}],
        "generalPractitioner": [{"reference": "Practitioner/d1", "display": "A doctor"}],
        "managingOrganization": {"reference": "Organization/o1"},
    }  # fmt: skip


def rate(work: Callable[[Any], object], values: list[Any]) -> int:
    """Values a second of CPU time, best of `ROUNDS`."""
    best = 0.0
    for _ in range(ROUNDS):
        started = time.process_time()
        for value in values:
            work(value)
        best = max(best, len(values) / (time.process_time() - started))
    return int(best)


def main(count: int) -> dict[str, int]:
    """Each step's rate, and that of decoding and validating together."""
    rng = random.Random(1)
    bodies = [json.dumps(observation(rng)).encode() for _ in range(count)]
    resources = [decode(body) for body in bodies]
    people = [decode(json.dumps(patient(rng)).encode()) for _ in range(count // 3)]
    validate(resources[0])
    validate(people[0])
    return {
        "patient_bytes": len(json.dumps(people[0])),
        "validate_patients": rate(validate, people),
        "validate_patients_without_rules": rate(lambda one: validate(one, rules=False), people),
        "bytes": len(bodies[0]),
        "decode": rate(decode, bodies),
        "validate": rate(validate, resources),
        "validate_without_rules": rate(lambda resource: validate(resource, rules=False), resources),
        "decode_and_validate": rate(lambda body: validate(decode(body)), bodies),
        "rewrite": rate(lambda resource: rewrite(resource, {"urn:uuid:x": "Patient/x"}), resources),
        "encode": rate(encode, resources),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=3000)
    print(json.dumps(main(parser.parse_args().count), indent=1))
