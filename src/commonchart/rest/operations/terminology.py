"""$expand, $validate-code, $lookup, $subsumes and $translate. http://hl7.org/fhir/R4/terminology-service.html.

Terminology is reference data and nobody's record: any signed-in user may ask. "Not loaded" is said, never guessed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from commonchart.access.records import Records
from commonchart.fhir import json
from commonchart.fhir.dates import instant
from commonchart.fhir.outcome import Invalid, Malformed, NotFound, Unsupported
from commonchart.record import terminology
from commonchart.record.terminology import MAX_MEMBERS, Answered, Reader
from commonchart.rest.arguments import Arguments, parameters
from commonchart.rest.exchange import Answer, Asked
from commonchart.rest.operations.operation import Operation
from commonchart.terminology import maps, resources, value_sets, words
from commonchart.terminology.plan import Chosen

Coding = tuple[str | None, str, str | None]


@asynccontextmanager
async def _reader(records: Records, given: Arguments) -> AsyncIterator[Reader]:
    versions = dict(
        value_sets.canonical(text) for text in given.every("system-version") if isinstance(text, str)
    )
    versions |= dict(
        value_sets.canonical(text) for text in given.every("force-system-version") if isinstance(text, str)
    )
    async with records.database.connection() as conn:
        yield await terminology.reader(conn, records.actor.tenant, versions)


def _given(asked: Asked) -> Arguments:
    """What the operation is given. Raises Malformed; PostgreSQL has no texts with NUL, so no code has either."""
    given = asked.arguments()
    for name, value in given.values:
        if isinstance(value, str) and "\x00" in value:
            raise Malformed("NUL is in no code and no address", at=name.replace("\x00", ""), code="value")
    return given


# ---- value sets ------------------------------------------------------------------------------------------------


async def _value_set(records: Records, asked: Asked, given: Arguments, look_up: Reader) -> Answered:
    """The value set that is meant: the one at the address, the one sent, or by its canonical url."""
    if len(asked.segments) == 3:
        stored = await records.read("ValueSet", asked.id)
        return await look_up.answered(value_sets.read(json.decode(stored.body or b"{}")))
    sent = given.resource("valueSet")
    if sent is not None:
        return await look_up.answered(value_sets.read(sent))
    url = given.text("url")
    if not url:
        raise Malformed(
            "Say which value set: url, valueSet, or the address of one", at="url", code="required"
        )
    version = given.text("valueSetVersion")
    made = await look_up.named(f"{url}|{version}" if version and "|" not in url else url)
    if made is None:
        raise NotFound("The value set is not loaded here")
    return made


async def _expand(records: Records, asked: Asked) -> Answer:
    """The codes of a value set, a page of them, those that fit a typed text."""
    given = _given(asked)
    for name in ("context", "contextDirection", "date", "exclude-system"):
        if given.every(name):
            raise Unsupported(f"{name} is not offered", at=name)
    offset, count = _whole(given, "offset") or 0, _whole(given, "count")
    text = given.text("filter") or ""
    if text and not words.asked(text):
        raise Malformed("filter needs a letter or a digit", at="filter")
    async with _reader(records, given) as look_up:
        made = await _value_set(records, asked, given, look_up)
        page = await look_up.page(
            made, text=text, offset=offset, count=count, active=given.flag("activeOnly") is True
        )
    designations = given.flag("includeDesignations") is True
    language = given.text("displayLanguage") or ""
    expansion: dict[str, Any] = {
        "identifier": f"urn:uuid:{uuid4()}",
        "timestamp": instant(records.clock()),
        "total": page.total,
        **({"offset": offset} if offset or count is not None else {}),
        "parameter": _parameters(given, page),
        "contains": [_contains(one, designations, language) for one in page.members],
    }
    named = {"url": page.value_set.url, "version": page.value_set.version, "title": page.value_set.name}
    out = {"resourceType": "ValueSet", **{k: v for k, v in named.items() if v}, "status": "active"}
    return Answer(200, json.encode(out | {"expansion": {k: v for k, v in expansion.items() if v != []}}))


def _whole(given: Arguments, name: str) -> int | None:
    value = given.number(name)
    if value is not None and not 0 <= value <= (10_000_000 if name == "offset" else MAX_MEMBERS):
        raise Malformed(f"{name} is at least 0, and a count at most {MAX_MEMBERS}", at=name)
    return value


def _parameters(given: Arguments, page: terminology.Page) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = []
    for name, kind in (("filter", "valueString"), ("displayLanguage", "valueCode")):
        if given.text(name):
            said.append({"name": name, kind: given.text(name)})
    for name in ("offset", "count"):
        if given.number(name) is not None:
            said.append({"name": name, "valueInteger": given.number(name)})
    if given.flag("activeOnly") is not None:
        said.append({"name": "activeOnly", "valueBoolean": given.flag("activeOnly")})
    for chosen in page.systems:
        said.append({"name": "version", "valueUri": chosen.canonical})
        if not chosen.source:
            said.append({"name": "warning-not-loaded", "valueUri": chosen.canonical})
        elif chosen.content != "complete":
            said.append({"name": chosen.content, "valueUri": chosen.canonical})
    return said


def _contains(one: terminology.Shown, designations: bool, language: str) -> dict[str, Any]:
    concept = one.concept
    display = next(
        (d.value for d in concept.designations if language and d.language.startswith(language)),
        concept.display,
    )
    out: dict[str, Any] = {"system": one.chosen.url}
    if concept.inactive:
        out["inactive"] = True
    if one.chosen.version:
        out["version"] = one.chosen.version
    out["code"] = concept.code
    if display:
        out["display"] = display
    if designations and concept.designations:
        out["designation"] = [_designation(d.language, d.value) for d in concept.designations]
    return out


def _designation(language: str, value: str) -> dict[str, str]:
    return {"language": language, "value": value} if language else {"value": value}


# ---- codes -----------------------------------------------------------------------------------------------------


def _codings(given: Arguments) -> list[Coding]:
    """The codes that are asked about. Raises Malformed."""
    concept = given.one("codeableConcept")
    coding = given.one("coding")
    code = given.text("code")
    if concept is not None:
        if not isinstance(concept, Mapping):
            raise Malformed("codeableConcept is a CodeableConcept", at="codeableConcept")
        listed = [_coding(one) for one in resources.objects(concept, "coding")]
        if not listed:
            raise Malformed("The codeableConcept has no coding", at="codeableConcept", code="required")
        return listed
    if coding is not None:
        return [_coding(coding)]
    if not code:
        raise Malformed(
            "Say which code: code with system, coding or codeableConcept", at="code", code="required"
        )
    return [(given.text("system"), code, given.text("display"))]


def _coding(value: Any) -> Coding:
    if not isinstance(value, Mapping) or not resources.text(value, "code"):
        raise Malformed("A coding needs a code", at="coding")
    return (
        resources.text(value, "system") or None,
        resources.text(value, "code"),
        resources.text(value, "display"),
    )


async def _in_set(records: Records, asked: Asked) -> Answer:
    """Whether a code is in a value set."""
    given = _given(asked)
    codings = _codings(given)
    async with _reader(records, given) as look_up:
        made = await _value_set(records, asked, given, look_up)
        verdicts = await look_up.decide(made, [(system, code) for system, code, _ in codings])
        if True in verdicts:
            system, code, said = codings[verdicts.index(True)]
            chosen = [one for one in made.extent.systems if system in (None, one.url)]
            return await _valid(look_up, chosen, code, said)
        if None in verdicts:
            what = ", ".join(made.extent.missing) or "something it uses"
            raise Invalid(f"NOT CHECKED: not loaded here: {what}", code="not-found")
    return _verdict(
        False, message=f"The code is not in the value set {made.value_set.url or 'that was sent'}"
    )


async def _valid(look_up: Reader, among: list[Chosen], code: str, said: str | None) -> Answer:
    for chosen in among:
        found = await look_up.concept(chosen, code)
        if found is not None:
            texts = [found.concept.display, *(d.value for d in found.concept.designations)]
            if said and words.folded(said).strip() not in {words.folded(text).strip() for text in texts}:
                wrong = f"The display is not one of the code's: it is {found.concept.display!r}"
                return _verdict(False, found.concept.display, wrong)
            return _verdict(True, found.concept.display)
    return _verdict(True, message="The code system is not loaded here: its text was not checked")


def _verdict(result: bool, display: str = "", message: str = "") -> Answer:
    body = parameters(
        ("result", "valueBoolean", result),
        ("message", "valueString", message or None),
        ("display", "valueString", display or None),
    )
    return Answer(200, json.encode(body))


async def _system(
    records: Records, asked: Asked, given: Arguments, look_up: Reader, named: str | None
) -> Chosen:
    """The code system that is meant. Raises NotFound when it is not loaded, Malformed when none is named."""
    if len(asked.segments) == 3:
        stored = await records.read("CodeSystem", asked.id)
        named = json.decode(stored.body or b"{}").get("url")
    url = named or given.text("url") or given.text("system")
    if not url:
        raise Malformed("Say which code system: system", at="system", code="required")
    address, version = value_sets.canonical(url)
    chosen = await look_up.system(address, given.text("version") or version)
    if not chosen.source:
        raise NotFound(f"The code system {chosen.canonical} is not loaded here")
    return chosen


async def _in_system(records: Records, asked: Asked) -> Answer:
    """Whether a code is one of a code system."""
    given = _given(asked)
    if given.every("codeSystem"):
        raise Unsupported("A CodeSystem in the request is not offered: store it first", at="codeSystem")
    codings = _codings(given)
    async with _reader(records, given) as look_up:
        for system, code, said in codings:
            chosen = await _system(records, asked, given, look_up, system)
            if await look_up.concept(chosen, code) is not None:
                return await _valid(look_up, [chosen], code, said)
            if chosen.content != "complete":
                raise Invalid(
                    f"NOT CHECKED: only a part of {chosen.canonical} is loaded here", code="not-found"
                )
    return _verdict(False, message="The code system has no such code")


async def _lookup(records: Records, asked: Asked) -> Answer:
    """What is known of a code."""
    given = _given(asked)
    ((system, code, _),) = _codings(given)[:1]
    async with _reader(records, given) as look_up:
        chosen = await _system(records, asked, given, look_up, system)
        found = await look_up.concept(chosen, code)
        name = (await look_up.name(chosen)) or chosen.url
    if found is None:
        raise NotFound(f"{chosen.canonical} has no such code")
    wanted = {name for name in given.every("property") if isinstance(name, str)}
    concept = found.concept
    pairs = [
        ("inactive", "valueBoolean", concept.inactive),
        *(("parent", "valueCode", parent) for parent in concept.parents),
        *(("child", "valueCode", child) for child in found.children),
        *((name, "valueString", value) for name, value in concept.properties),
    ]
    shown = [
        ("property", "part", parameters(("code", "valueCode", name), ("value", kind, value))["parameter"])
        for name, kind, value in pairs
        if (not wanted or name in wanted or "*" in wanted)
        and not (name == "inactive" and not value and not wanted)
    ]
    other = [
        (
            "designation",
            "part",
            parameters(("language", "valueCode", d.language or None), ("value", "valueString", d.value))[
                "parameter"
            ],
        )
        for d in concept.designations
        if not wanted or "designation" in wanted
    ]
    body = parameters(
        ("name", "valueString", name),
        ("version", "valueString", chosen.version or None),
        ("display", "valueString", concept.display or concept.code),
        *other,
        *shown,
    )
    return Answer(200, json.encode(body))


async def _subsumes(records: Records, asked: Asked) -> Answer:
    """How two codes of a system lie to each other."""
    given = _given(asked)
    a, b = ((given.text(f"code{x}") or _part(given, f"coding{x}")) for x in "AB")
    coded = given.one("codingA")
    async with _reader(records, given) as look_up:
        named = resources.text(coded, "system") if isinstance(coded, Mapping) else None
        chosen = await _system(records, asked, given, look_up, named)
        found = await look_up.subsumes(chosen, a, b)
    if found is None:
        raise NotFound(f"{chosen.canonical} does not have both codes")
    return Answer(200, json.encode(parameters(("outcome", "valueCode", found))))


def _part(given: Arguments, name: str) -> str:
    value = given.one(name)
    if value is None:
        raise Malformed("Say which codes: codeA and codeB, or codingA and codingB", at=name, code="required")
    return _coding(value)[1]


# ---- maps ------------------------------------------------------------------------------------------------------


async def _translate(records: Records, asked: Asked) -> Answer:
    """The counterparts of a code by a concept map."""
    given = _given(asked)
    for name in ("dependency", "conceptMap"):
        if given.every(name):
            raise Unsupported(f"{name} is not offered: store the map first", at=name)
    codings = _codings(given)
    if any(system is None for system, _, _ in codings):
        raise Malformed("A code is translated with its system", at="system", code="required")
    known = await _maps(records, asked, given)
    target = given.text("targetsystem") or ""
    reverse = given.flag("reverse") is True
    found = [
        match
        for map_ in known
        for system, code, _ in codings
        for match in maps.translate(map_, system or "", code, target=target, reverse=reverse)
    ]
    listed = [("match", "part", _match(match)) for match in found]
    message = None if found else "The map has no counterpart of this code"
    result = maps.succeeded(found)
    return Answer(
        200,
        json.encode(
            parameters(("result", "valueBoolean", result), ("message", "valueString", message), *listed)
        ),
    )


async def _maps(records: Records, asked: Asked, given: Arguments) -> list[maps.ConceptMap]:
    if len(asked.segments) == 3:
        stored = await records.read("ConceptMap", asked.id)
        return [resources.concept_map(json.decode(stored.body or b"{}"))]
    url, source = given.text("url") or "", given.text("source") or ""
    if not url and not source:
        raise Malformed("Say which map: url, source, or the address of one", at="url", code="required")
    version = given.text("conceptMapVersion")
    async with records.database.connection() as conn:
        found = await terminology.concept_maps(
            conn, records.actor.tenant, f"{url}|{version}" if url and version else url, source
        )
    if not found:
        raise NotFound("No such concept map is loaded here")
    wanted = given.text("target")
    return [one for one in found if not wanted or one.target == wanted]


def _match(match: maps.Match) -> list[dict[str, Any]]:
    concept = {"system": match.system, "code": match.code, "display": match.display}
    body = parameters(
        ("equivalence", "valueCode", match.equivalence),
        ("concept", "valueCoding", {k: v for k, v in concept.items() if v} if match.code else None),
        ("source", "valueUri", match.map or None),
    )
    listed: list[dict[str, Any]] = body["parameter"]
    return listed


_SETS, _SYSTEMS, _MAPS = frozenset({"ValueSet"}), frozenset({"CodeSystem"}), frozenset({"ConceptMap"})

TERMINOLOGY = (
    Operation("expand", _expand, on_type=True, instance=True, types=_SETS),
    Operation("validate-code", _in_set, on_type=True, instance=True, types=_SETS),
    Operation("validate-code", _in_system, on_type=True, instance=True, types=_SYSTEMS),
    Operation("lookup", _lookup, on_type=True, types=_SYSTEMS),
    Operation("subsumes", _subsumes, on_type=True, instance=True, types=_SYSTEMS),
    Operation("translate", _translate, on_type=True, instance=True, types=_MAPS),
)
