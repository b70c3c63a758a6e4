"""Searches of one patient's record among few and many Observations: p50 and p95 in ms, and their ratio.

    uv run python benchmarks/bench_search.py [--small 100000] [--large 1000000]

Rows are copied in as the store would write them; the statements are those of `search.compile`, on one connection.
Twice the same patients: the first time their pages may have to come from disk, the second time they are in memory.
"""

from __future__ import annotations

import argparse
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import places
import psycopg

from commonchart.fhir import json
from commonchart.record.keys import patient_key, token
from commonchart.record.upgrade import migrate
from commonchart.search.compile import compile
from commonchart.search.index import extract
from commonchart.search.query import parse
from commonchart.search.visible import Visible

CODES = [f"{n}-{n % 10}" for n in range(1000, 1020)]
EACH = 50
START = datetime(2015, 1, 1, tzinfo=UTC)


def template(code: str) -> tuple[bytes, list[int], int]:
    """Body, tokens without those of the patient, and hot code of an Observation."""
    body = {
        "resourceType": "Observation",
        "id": "x",
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "laboratory",
                    }
                ]
            }
        ],
        "code": {"coding": [{"system": "http://loinc.org", "code": code}], "text": f"Test {code}"},
        "subject": {"reference": "Patient/nobody"},
        "effectiveDateTime": "2015-01-01",
        "valueQuantity": {"value": 5, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"},
    }
    index = extract("Observation", body)
    own = set(of_patient("nobody"))
    assert index.code is not None
    return json.encode(body), [one for one in index.tokens if one not in own], index.code


def of_patient(id: str) -> list[int]:
    pairs = [(code, text) for code in ("subject", "patient") for text in (f"Patient/{id}", id)]
    return [token(*pair) for pair in (*pairs, ("_compartment", f"Patient/{id}"))]


def fill(conn: psycopg.Connection[Any], first: int, last: int) -> None:
    """Patients `first` to `last`, with EACH Observations."""
    chance = random.Random(first)
    made = [template(code) for code in CODES]
    columns = "pk, tenant, rtype, id, vid, recorded, org, actor, patient, status, code, date_lo, date_hi, tokens, body"
    with conn.cursor() as cursor, cursor.copy(f"COPY resource ({columns}) FROM STDIN") as copy:
        for n in range(first, last):
            patient, pk = f"p{n}", patient_key(f"p{n}")
            own = of_patient(patient)
            for k in range(EACH):
                body, tokens, code = made[k % len(made)]
                when = START + timedelta(seconds=chance.randrange(300_000_000))
                copy.write_row(
                    (
                        pk,
                        1,
                        "Observation",
                        f"{patient}-{k}",
                        1,
                        when,
                        "o",
                        "a",
                        patient,
                        "final",
                        code,
                        when,
                        when + timedelta(seconds=1),
                        [*tokens, *own],
                        body.decode(),
                    )
                )
    conn.commit()
    conn.autocommit = True
    conn.execute("VACUUM ANALYZE resource")
    conn.autocommit = False


QUERIES = {
    "patient + code, newest 20": [("patient", "{p}"), ("code", "http://loinc.org|{c}"), ("_sort", "-date"), ("_count", "20")],
    "patient, newest 50": [("patient", "{p}"), ("_sort", "-date"), ("_count", "50")],
    "patient + category + date": [("patient", "{p}"), ("category", "laboratory"), ("date", "ge2018"), ("_count", "20")],
    "patient + code + status": [("patient", "{p}"), ("code", "{c}"), ("status", "final,amended")],
    "patient, sorted by code": [("patient", "{p}"), ("_sort", "code"), ("_count", "20")],
}  # fmt: skip


def measure(conn: psycopg.Connection[Any], patients: int, times: int = 400) -> dict[str, tuple[float, float]]:
    chance = random.Random(7)
    visible = Visible(1, everything=True)
    out = {}
    for name, shape in QUERIES.items():
        took = []
        for turn in range(times + 20):
            says = {"p": f"p{chance.randrange(patients)}", "c": chance.choice(CODES)}
            statement = compile(parse("Observation", [(k, v.format(**says)) for k, v in shape]), visible)
            began = time.perf_counter()
            rows = conn.execute(statement.sql, statement.args).fetchall()
            if turn >= 20:
                took.append((time.perf_counter() - began) * 1000)
            assert rows
        conn.rollback()
        took.sort()
        out[name] = (took[len(took) // 2], took[int(len(took) * 0.95)])
    return out


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("--small", type=int, default=100_000)
    ask.add_argument("--large", type=int, default=1_000_000)
    given = ask.parse_args()
    with places.database("search") as url:
        migrate(url)
        with psycopg.connect(url, options="-c TimeZone=UTC -c jit=off") as conn:
            few, many = given.small // EACH, given.large // EACH
            fill(conn, 0, few)
            small = [measure(conn, few) for _ in range(2)]
            fill(conn, few, many)
            large = [measure(conn, many) for _ in range(2)]
    for turn, said in enumerate(("first touch", "in memory")):
        print(f"p50 / p95 in ms with {given.small:,} and {given.large:,} Observations, {said}")
        for name in QUERIES:
            (a, b), (c, d) = small[turn][name], large[turn][name]
            print(f"{name:28s} {a:6.2f} {b:6.2f}   {c:6.2f} {d:6.2f}   p95 x {d / b:.2f}")


if __name__ == "__main__":
    main()
