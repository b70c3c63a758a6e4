"""Every section draws whatever valid resources it meets, stays small, and says what is missing."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from commonchart.fhir.outcome import NotFound
from commonchart.web.clinician import patients, provenance, results, sections
from commonchart.web.present.dates import day as day_of
from commonchart.web.session import View
from tests.shared import shared_data
from tests.web.fakes import Kept, bundle, call, text

MOST = 60_000
LISTS: dict[str, View] = {
    "": sections.summary,
    "timeline": sections.timeline,
    "visits": sections.visit_list,
    "conditions": sections.conditions,
    "medications": sections.medication_list,
    "allergies": sections.allergy_list,
    "results": results.sheet,
    "procedures": sections.procedure_list,
    "family": sections.family_history,
    "documents": sections.document_list,
    "insurance": sections.insurance,
    "contacts": sections.contacts,
}
ADA = {
    "resourceType": "Patient",
    "id": "p",
    "name": [{"family": "Lovelace", "given": ["Ada"]}],
    "birthDate": "1985-12-10",
}
_LINKS = {"subject", "patient", "beneficiary"}


async def drawn(kept: Kept, path: str, view: View, patient: str = "p", query: str = "", **how: Any) -> str:
    response = await view(
        call(kept, f"/patients/{patient}/{path}".rstrip("/"), query, patient=patient, **how)
    )
    assert response.status_code == 200
    return text(response)


@pytest.mark.parametrize("path", LISTS)
async def test_an_empty_chart_says_so_in_words(path: str) -> None:
    page = await drawn(Kept([ADA]), path, LISTS[path])
    assert "LOVELACE, Ada" in page
    assert "Allergies not recorded: ask" in page
    if path != "contacts":
        assert re.search(r'class="none">[^<]*(one recorded|No |ot recorded|othing)', page), path


def _examples() -> list[dict[str, Any]]:
    folder = shared_data("r4-examples")
    return [json.loads(path.read_text(), parse_float=Decimal) for path in sorted(folder.glob("*.json"))]


def _about(body: dict[str, Any], patient: str) -> dict[str, Any]:
    """The resource, made to be about our patient."""
    made = {
        name: ({"reference": f"Patient/{patient}"} if name in _LINKS else value)
        for name, value in body.items()
    }
    return (
        {"id": "x"}
        | made
        | ({"subject": {"reference": f"Patient/{patient}"}} if not _LINKS & set(made) else {})
    )


async def test_the_published_examples_are_drawn_in_every_section_and_with_their_provenance() -> None:
    bodies = [_about(body, "p") for body in _examples() if body["resourceType"] not in ("Patient", "Bundle")]
    kept = Kept([ADA, *bodies])
    for path, view in LISTS.items():
        await drawn(kept, path, view)
    for body in bodies:
        page = text(
            await provenance.fact(call(kept, "/", patient="p", rtype=body["resourceType"], id=body["id"]))
        )
        assert "Where this came from" in page


async def test_every_example_patient_gets_a_banner_and_demographics() -> None:
    people = [body for body in _examples() if body["resourceType"] == "Patient"]
    for body in people:
        await drawn(Kept([body]), "contacts", sections.contacts, body["id"])


@pytest.mark.parametrize("seed", range(12))
async def test_resources_with_parts_missing_are_still_drawn(seed: int) -> None:
    """Elements are dropped at random, as far as structural validity would allow and further."""
    rng = random.Random(seed)
    whole = [body for path in _synthea()[seed : seed + 1] for body in bundle(path)]
    bodies = [
        _about(_thinned(body, rng), "p")
        for body in [*rng.sample(whole, min(120, len(whole))), *_examples()]
        if body["resourceType"] not in ("Patient", "Bundle")
    ]
    kept = Kept([ADA, *bodies])
    for path, view in LISTS.items():
        await drawn(kept, path, view)


def _thinned(body: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    def thin(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                k: thin(v)
                for k, v in value.items()
                if k in ("resourceType", "id", "value", "reference") or rng.random() > 0.2
            }
        return [thin(v) for v in value if rng.random() > 0.1] if isinstance(value, list) else value

    return {"resourceType": body["resourceType"], "id": body.get("id", "x")} | thin(
        {k: v for k, v in body.items() if k not in ("resourceType", "id")}
    )


def _synthea() -> list[Any]:
    return sorted(shared_data("synthea").glob("*.json.gz"))


async def test_sections_of_real_charts_stay_under_sixty_kilobytes() -> None:
    for path in _synthea()[::20]:
        kept = Kept(bundle(path))
        patient = next(row.id for row, _ in kept.rows if row.rtype == "Patient")
        for section, view in LISTS.items():
            page = await drawn(kept, section, view, patient)
            assert len(page.encode()) < MOST, (path.name, section, len(page))


def _many(n: int, make: Callable[[int], dict[str, Any]]) -> Kept:
    return Kept([ADA, *(make(i) | {"id": f"f{i}", "subject": {"reference": "Patient/p"}} for i in range(n))])


async def test_a_crowded_flowsheet_stays_under_sixty_kilobytes_and_pages_to_older_days() -> None:
    def panel(i: int) -> dict[str, Any]:
        day, test = divmod(i, 60)
        return {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": f"Test number {test}"},
            "effectiveDateTime": f"2026-{1 + day // 28:02d}-{1 + day % 28:02d}T08:00:00Z",
            "valueQuantity": {"value": Decimal("182.5"), "unit": "mg/dL"},
            "referenceRange": [{"low": {"value": 3}, "high": {"value": 5}}],
        }

    kept = _many(60 * 30, panel)
    days = [f"2026-01-{day:02d}" for day in range(28, 0, -1)] + ["2026-02-02", "2026-02-01"]
    seen: list[str] = []
    query = ""
    while True:
        page = await drawn(kept, "results", results.sheet, query=query)
        assert len(page.encode()) < MOST
        seen += re.findall(r'<th scope="col" class="num">(\d\d-\w{3})<', page)
        older = re.search(r'href="results\?before=([\d-]+)"[^>]*rel="next"', page)
        if not older:
            break
        query = f"before={older.group(1)}"
    assert sorted(seen) == sorted(day_of(day)[:6] for day in days)


async def test_flags_have_a_shape_a_letter_and_words() -> None:
    made = {"resourceType": "Observation", "status": "final", "code": {"text": "HbA1c"}, "effectiveDateTime": "2026-05-06",
            "valueQuantity": {"value": Decimal("8.4"), "unit": "%"}, "referenceRange": [{"high": {"value": Decimal("5.6"), "unit": "%"}}]}  # fmt: skip
    page = await drawn(_many(1, lambda i: made), "results", results.sheet)
    assert '<b class="fl fH">H<i class="vh"> high</i></b>' in page
    assert "≤ 5.6" in page


async def test_a_trend_shows_every_number_beside_the_picture() -> None:
    def made(i: int) -> dict[str, Any]:
        return {"resourceType": "Observation", "status": "final", "code": {"text": "HbA1c"}, "effectiveDateTime": f"2026-0{i + 1}-06",
                "valueQuantity": {"value": Decimal(f"{7 + i}.10"), "unit": "%"}}  # fmt: skip

    page = await drawn(_many(5, made), "results/trend", results.one_test, query="test=text%7CHbA1c")
    assert page.count('<circle class="pt"') == 5
    for shown in ("7.10", "11.10", "+1.00", "06-Jan-2026"):
        assert shown in page


async def test_a_single_practice_is_told_nothing_about_sources() -> None:
    condition = {
        "resourceType": "Condition",
        "id": "c",
        "subject": {"reference": "Patient/p"},
        "code": {"text": "Asthma"},
    }
    page = await drawn(Kept([ADA, condition]), "conditions", sections.conditions, mode="practice")
    assert "Sources:" not in page
    assert "Source:" not in page
    assert "Where this came from" in page


async def test_someone_elses_fact_is_not_in_this_chart() -> None:
    condition = {
        "resourceType": "Condition",
        "id": "c",
        "subject": {"reference": "Patient/q"},
        "code": {"text": "Asthma"},
    }
    with pytest.raises(NotFound):
        await provenance.fact(call(Kept([ADA, condition]), "/", patient="p", rtype="Condition", id="c"))


async def test_markup_in_a_name_is_only_text() -> None:
    nasty = ADA | {"name": [{"family": "<script>alert(1)</script>"}]}
    page = await drawn(Kept([nasty]), "", sections.summary)
    assert "<script>alert" not in page


async def test_finding_answers_a_page_a_fragment_or_a_short_list() -> None:
    kept = Kept([ADA])
    whole = text(await patients.patient_list(call(kept, "/patients", "q=ada")))
    part = text(
        await patients.patient_list(
            call(kept, "/patients", "q=ada", headers={"hx-request": "true", "hx-target": "div#results"})
        )
    )
    short = text(
        await patients.patient_list(
            call(kept, "/patients", "q=ada", headers={"hx-request": "true", "hx-target": "div#found"})
        )
    )
    assert "<html" in whole
    assert part in whole
    assert "<table" not in short
    assert 'href="/patients/p"' in short
    nobody = text(await patients.patient_list(call(kept, "/patients", "q=zz")))
    assert "Nobody found for" in nobody
