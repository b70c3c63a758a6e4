"""FHIR resources as what a check is given: medicines, allergies and facts of one person.

Medicines that have ended count only for the days of a washout. What must not be given, was entered in error or refuted is
left out by name, never silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from commonchart.care.calculators.quantities import CREATININE, EGFR, HEIGHT, WEIGHT, Quantity
from commonchart.care.evidence import Evidence, Fact, first_day, words_of
from commonchart.care.facts import evidence
from commonchart.care.medications import dose as dosing
from commonchart.care.medications.allergy_entries import allergies
from commonchart.care.medications.inputs import Facts, Medication, Reading, Record, Reproductive
from commonchart.care.medications.naming import Drug, drug
from commonchart.care.medications.pack import Pack
from commonchart.care.person import person

RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
LOOK_BACK_DAYS = 60
PREGNANCY_DAYS, ANSWER_DAYS, BREASTFEEDING_DAYS = 45 * 7, 42, 365
_CURRENT = {"active", "on-hold", "draft", "intended", "unknown", "in-progress", "preparation", ""}
_ENDED = {"completed", "stopped"}
_MEASURES: tuple[tuple[str, frozenset[str], Quantity], ...] = (
    ("weight", frozenset({"29463-7", "3141-9", "8335-2"}), WEIGHT),
    ("height", frozenset({"8302-2", "8306-3", "3137-7"}), HEIGHT),
    ("creatinine", frozenset({"2160-0", "38483-4"}), CREATININE),
    ("egfr", frozenset({"33914-3", "48642-3", "48643-1", "62238-1", "98979-8", "69405-9"}), EGFR),
)
OBSERVATIONS = frozenset({"82810-3"}).union(*(codes for _, codes, _ in _MEASURES))
"""LOINC codes of the Observations that facts are read from."""
_ROUTES = (
    ("transdermal", ("transdermal", "patch")),
    ("intravenous", ("intravenous", " iv")),
    ("intramuscular", ("intramuscular",)),
    ("subcutaneous", ("subcutaneous",)),
    ("injection", ("injection", "injectable", "syringe")),
    ("topical", ("topical", "cream", "ointment")),
    ("ophthalmic", ("ophthalmic", "eye")),
    ("inhaled", ("inhal", "metered dose")),
    ("oral", ("oral", "mouth", "tablet", "capsule")),
)  # fmt: skip
Products = Mapping[str, tuple[str, ...]]
Resources = Mapping[str, dict[str, Any]]


def record(
    patient: dict[str, Any],
    resources: Iterable[dict[str, Any]],
    pack: Pack,
    as_of: date,
    products: Products | None = None,
) -> Record:
    """The record of one person on a day. `products`: RxNorm product code -> ingredient codes, where a site loaded RxNorm."""
    everything = list(resources)
    known = {f"{one['resourceType']}/{one.get('id', '')}": one for one in everything}
    medications: list[Medication] = []
    left_out: list[tuple[str, str]] = []
    for one in everything:
        if one["resourceType"] in _KINDS:
            found, why = _entry(one, pack, as_of, known, products or {})
            if found:
                medications.append(found)
            elif why:
                left_out.append((_named(one, known), why))
    return Record(
        tuple(medications), allergies(everything, pack), facts(patient, everything, as_of), tuple(left_out)
    )


def medication(
    resource: dict[str, Any], pack: Pack, known: Resources | None = None, products: Products | None = None
) -> Medication:
    """One medicine, whatever its status: an order that is being written is checked through this."""
    names = known or {}
    said = resource.get("dosageInstruction") or resource.get("dosage") or []
    lines: list[dict[str, Any]] = [said] if isinstance(said, dict) else list(said)
    what = contents(resource, pack, names, products or {})
    text = _named(resource, names)
    return Medication(
        f"{resource['resourceType']}/{resource.get('id', '')}", text, what, _dose(resource, lines),
        _route(lines, text), None, _family(resource),
        resource["resourceType"] in ("MedicationRequest", "MedicationStatement"),
        (resource.get("priorPrescription") or {}).get("reference", ""),
        "" if what.ingredients or what.unknown else "no medicine named",
    )  # fmt: skip


def _dose(resource: dict[str, Any], lines: list[dict[str, Any]]) -> dosing.Dose:
    if resource["resourceType"] == "MedicationAdministration":
        given = (resource.get("dosage") or {}).get("dose")
        return dosing.read([{"doseAndRate": [{"doseQuantity": given}]}] if given else [])
    return dosing.read(lines)


# ---- which medicine ---------------------------------------------------------------------------------------------


def contents(resource: dict[str, Any], pack: Pack, known: Resources, products: Products) -> Drug:
    """The ingredients of a medicine's concept, or of the Medication it refers to."""
    concept = resource.get("medicationCodeableConcept")
    if concept:
        return _drug(concept, pack, products)
    target = _target(resource, known)
    if target is None:
        reference = resource.get("medicationReference") or {}
        return drug(pack, (), (str(reference.get("display") or ""),), products)
    whole = _drug(target.get("code") or {}, pack, products)
    parts = [_part(part, target, pack, known, products) for part in target.get("ingredient") or ()]
    return _joined(whole, parts) if parts else whole


def _drug(concept: dict[str, Any], pack: Pack, products: Products) -> Drug:
    codings = concept.get("coding") or ()
    codes = [str(c["code"]) for c in codings if c.get("system") == RXNORM and c.get("code")]
    texts = [str(text) for text in (concept.get("text"), *(c.get("display") for c in codings)) if text]
    if not texts:
        texts = [f"code {c['code']}" for c in codings if c.get("code")][:1]
    return drug(pack, codes, texts, products)


def _target(resource: dict[str, Any], known: Resources) -> dict[str, Any] | None:
    reference = str((resource.get("medicationReference") or {}).get("reference") or "")
    if reference.startswith("#"):
        return next((c for c in resource.get("contained") or () if c.get("id") == reference[1:]), None)
    return known.get(reference)


def _part(
    part: dict[str, Any], target: dict[str, Any], pack: Pack, known: Resources, products: Products
) -> Drug:
    concept = part.get("itemCodeableConcept")
    if not concept:
        reference = str((part.get("itemReference") or {}).get("reference") or "")
        inside = next((c for c in target.get("contained") or () if f"#{c.get('id')}" == reference), None)
        concept = (inside or known.get(reference) or {}).get("code") or {
            "text": (part.get("itemReference") or {}).get("display") or "an ingredient without a name"
        }
    return _drug(concept, pack, products)


def _joined(whole: Drug, parts: list[Drug]) -> Drug:
    """All ingredients; a part that is not recognised stays unknown even where the whole is."""
    ingredients = dict.fromkeys(name for one in (whole, *parts) for name in one.ingredients)
    unknown = tuple(dict.fromkeys(text for one in parts for text in one.unknown))
    conflict = next((one.conflict for one in (whole, *parts) if one.conflict), "")
    return Drug(tuple(ingredients), unknown, whole.how or "name", conflict, whole.strengths)


def _named(resource: dict[str, Any], known: Resources) -> str:
    concept = resource.get("medicationCodeableConcept") or (_target(resource, known) or {}).get("code")
    display = (resource.get("medicationReference") or {}).get("display")
    return words_of(concept) or str(display or "a medicine without a name")


def _route(lines: Iterable[dict[str, Any]], text: str) -> str:
    said = " ".join(f"{words_of(line.get('route'))} {line.get('text') or ''}" for line in lines)
    for source in (said.lower(), text.lower()):
        for route, words in _ROUTES:
            if any(word in source for word in words):
                return route
    return ""


def _family(resource: dict[str, Any]) -> frozenset[str]:
    own = f"{resource['resourceType']}/{resource.get('id', '')}"
    links: list[Any] = [resource.get("priorPrescription"), resource.get("request")]
    for name in ("basedOn", "derivedFrom", "authorizingPrescription", "partOf"):
        links += resource.get(name) or ()
    refs = {str(link.get("reference") or "") for link in links if isinstance(link, dict)}
    return frozenset({own} | {ref for ref in refs if ref.startswith("Medication")})


# ---- whether and until when it is taken -------------------------------------------------------------------------


def _entry(
    one: dict[str, Any], pack: Pack, as_of: date, known: Resources, products: Products
) -> tuple[Medication | None, str]:
    """The medicine, or why it is left out ("" for one that simply has ended)."""
    status = str(one.get("status") or "")
    if status == "entered-in-error":
        return None, "entered in error"
    if one.get("doNotPerform") is True:
        return None, "must not be given: no medicine that is taken"
    until, counts = _KINDS[one["resourceType"]](one, status, as_of)
    if not counts or (until is not None and until < as_of - timedelta(days=LOOK_BACK_DAYS)):
        return None, ""
    made = medication(one, pack, known, products)
    return Medication(
        made.ref, made.text, made.drug, made.dose, made.route, until, made.family, made.counts_twice,
        made.replaces, made.problem,
    ), ""  # fmt: skip


def _requested(one: dict[str, Any], status: str, as_of: date) -> tuple[date | None, bool]:
    if status in _CURRENT:
        return None, True
    ends = [
        (((line.get("timing") or {}).get("repeat") or {}).get("boundsPeriod") or {}).get("end")
        for line in one.get("dosageInstruction") or one.get("dosage") or ()
    ]
    ends.append((one.get("effectivePeriod") or {}).get("end"))
    return _ended(status, ends, one.get("authoredOn") or one.get("effectiveDateTime"), as_of)


def _ended(status: str, ends: list[Any], began: Any, as_of: date) -> tuple[date | None, bool]:
    """An end that is not recorded is taken to be yesterday where the start is recent: a washout must not be missed."""
    if status not in _ENDED:
        return None, False
    days = [day for day in map(first_day, ends) if day]
    if days:
        return min(max(days), as_of - timedelta(days=1)), True
    start = first_day(began)
    recent = start is not None and (as_of - start).days <= LOOK_BACK_DAYS
    return as_of - timedelta(days=1), recent


def _dispensed(one: dict[str, Any], status: str, as_of: date) -> tuple[date | None, bool]:
    if status not in _CURRENT | _ENDED:
        return None, False
    start = first_day(one.get("whenHandedOver") or one.get("whenPrepared"))
    supply = (one.get("daysSupply") or {}).get("value")
    if start is None:
        return None, status != "completed"
    if supply is None:
        return None, (as_of - start).days <= 90
    return start + timedelta(days=min(int(supply), 3660)), True


def _administered(one: dict[str, Any], status: str, as_of: date) -> tuple[date | None, bool]:
    period = one.get("effectivePeriod") or {}
    day = first_day(period.get("end") or one.get("effectiveDateTime") or period.get("start"))
    if status in _ENDED:
        return day, day is not None
    return None, status in _CURRENT


_KINDS = {
    "MedicationRequest": _requested,
    "MedicationStatement": _requested,
    "MedicationDispense": _dispensed,
    "MedicationAdministration": _administered,
}


# ---- facts ------------------------------------------------------------------------------------------------------


def facts(patient: dict[str, Any], resources: Iterable[dict[str, Any]], as_of: date) -> Facts:
    """What limits depend on, as recorded up to a day."""
    who = person(patient, as_of)
    wanted = evidence(one for one in resources if one["resourceType"] in ("Observation", "Condition"))
    readings = {name: _newest(wanted, codes, quantity, as_of) for name, codes, quantity in _MEASURES}
    return Facts(
        who.born, who.sex, readings["weight"], readings["height"], readings["creatinine"], readings["egfr"],
        _pregnant(wanted, as_of), _breastfeeding(wanted, as_of),
    )  # fmt: skip


def _newest(known: Evidence, codes: frozenset[str], quantity: Quantity, as_of: date) -> Reading | None:
    """The newest usable value; when the newest is not a plain number in a known unit there is none, and no older one."""
    for fact in known.of("observation"):
        if fact.unusable or fact.day is None or fact.day > as_of or not _has(fact, "loinc", codes):
            continue
        value = quantity.convert(fact.value, fact.unit) if fact.value is not None else None
        plain = value is not None and not fact.comparator and quantity.low <= value <= quantity.high
        return Reading(value, quantity.unit, fact.day, fact.ref) if plain and value is not None else None
    return None


def _has(fact: Fact, system: str, codes: frozenset[str]) -> bool:
    return any(s == system and code in codes for s, code in (*fact.codes, *fact.answers))


_PREGNANT_SCT, _NOT_PREGNANT_SCT = frozenset({"77386006"}), frozenset({"60001007"})
_STATUS = frozenset({"82810-3"})


def _pregnant(known: Evidence, as_of: date) -> Reproductive:
    """The newest word on it: a recorded state holds 6 weeks, an active pregnancy 45 weeks; older ones are not known."""
    found: list[tuple[date, Reproductive]] = []
    for fact in _dated(known, as_of):
        age = (as_of - fact.day).days if fact.day else 0
        about = fact.kind == "condition" or _has(fact, "loinc", _STATUS)
        if about and fact.day and (state := _state(fact, age)) is not None:
            found.append((fact.day, Reproductive(state, f"{fact.text} ({fact.shown[:10]})", fact.ref)))
    return max(found, key=lambda pair: pair[0])[1] if found else Reproductive()


def _state(fact: Fact, age_days: int) -> bool | None:
    if fact.kind == "condition":
        codes = [code for system, code in fact.codes if system == "icd10"]
        pregnancy = _has(fact, "sct", _PREGNANT_SCT) or any(_is_pregnancy(code) for code in codes)
        return True if pregnancy and fact.active and age_days <= PREGNANCY_DAYS else None
    if age_days > ANSWER_DAYS:
        return None
    return (
        True if _has(fact, "sct", _PREGNANT_SCT) else False if _has(fact, "sct", _NOT_PREGNANT_SCT) else None
    )


def _is_pregnancy(code: str) -> bool:
    """ICD-10-CM: pregnancy and supervision of it; not abortion, delivery or the time after (O00-O08, O80-O92)."""
    bare = code.upper()
    if bare.startswith(("Z33.1", "Z34", "O09")):
        return True
    return bare[:1] == "O" and bare[1:3].isdigit() and 10 <= int(bare[1:3]) <= 48


def _breastfeeding(known: Evidence, as_of: date) -> Reproductive:
    for fact in _dated(known, as_of):
        recent = fact.day is not None and (as_of - fact.day).days <= BREASTFEEDING_DAYS
        if fact.kind == "condition" and fact.active and recent and _has(fact, "icd10", frozenset({"Z39.1"})):
            return Reproductive(True, f"{fact.text} ({fact.shown[:10]})", fact.ref)
    return Reproductive()


def _dated(known: Evidence, as_of: date) -> Iterator[Fact]:
    return (
        fact for fact in known.of("condition", "observation")
        if not fact.unusable and fact.day is not None and fact.day <= as_of
    )  # fmt: skip
