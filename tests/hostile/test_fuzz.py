"""No request of a client, however strange, makes this server fail: a generator over its own CapabilityStatement."""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from commonchart import app as wiring
from commonchart.access import credentials, users
from commonchart.record.database import Database
from commonchart.settings import Settings
from tests.conftest import Clock

REQUESTS = int(os.environ.get("COMMONCHART_FUZZ", "2000"))
SEED = 20261124
TEXTS = (
    "", "a", "'", '"', "%", "_", "\\", "|", "||", "$", ",", "\\,", "gt", "ge2020", "2020-13-45", "1e400", "-1", "0", "NaN", "null", "true",
    "http://loinc.org|4548-4", "Patient/1", "Patient/../..", "é", "\u202e", "\U0001f600", "x" * 3000, "' OR 1=1 --", "{{7*7}}", "a\x00b",
    "2020-01-01T00:00:00+14:00", "9999-12-31", "0001-01-01", "urn:uuid:1", "#x", "*", "(", "[", "{", "5.4|http://unitsofmeasure.org|mg",
)  # fmt: skip
MODIFIERS = (
    "",
    "",
    "",
    ":exact",
    ":missing",
    ":not",
    ":text",
    ":Patient",
    ":above",
    ":iterate",
    ":",
    ":x:y",
    ".name",
    ":Patient.name",
    ".x.y",
)


@pytest.fixture
async def client(database: Database, clock: Clock, tmp_path: Path) -> Any:
    application = wiring.build(Settings(tmp_path, secret=b"s" * 32), database, clock)
    user = await users.create(
        database, tenant=1, login="root", name="Root", role="administrator", org="o", now=clock()
    )
    from datetime import timedelta

    token = await credentials.issue(
        database, user.id, clock(), kind="token", client="t", lives=timedelta(days=1)
    )
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers={"authorization": f"Bearer {token}"}
    ) as made:
        yield made


def value(random: Random, depth: int = 0) -> Any:
    kind = random.randrange(8)
    if kind < 3 or depth > 4:
        return random.choice(TEXTS)
    if kind == 3:
        return random.choice((0, -1, 1.5, 2**40, True, False, None))
    if kind == 4:
        return [value(random, depth + 1) for _ in range(random.randrange(3))]
    return {
        random.choice(
            ("code", "value", "system", "reference", "given", "url", "valueString", "_x", "x", "extension")
        ): value(random, depth + 1)
        for _ in range(random.randrange(4))
    }


def body(random: Random, rtype: str) -> Any:
    names = (
        "id",
        "status",
        "code",
        "subject",
        "name",
        "birthDate",
        "meta",
        "contained",
        "entry",
        "type",
        "text",
        "period",
        "content",
        "item",
    )
    return {"resourceType": random.choice((rtype, rtype, rtype, "Shoe", None))} | {
        random.choice(names): value(random) for _ in range(random.randrange(5))
    }


NAMES = (
    "url",
    "code",
    "system",
    "resource",
    "profile",
    "meta",
    "patient",
    "max",
    "filter",
    "count",
    "_type",
    "_since",
    "coding",
    "valueSet",
    "input",
    "query",
    "offset",
)


def operation(
    random: Random, statement: dict[str, Any], resource: dict[str, Any], params: list[tuple[str, str]]
) -> tuple[str, list[tuple[str, str]]]:
    """An address of an operation that the statement offers, with parameters of its own."""
    system = statement["rest"][0]["operation"]
    name = random.choice([*system, *resource.get("operation", ())])["name"]
    more = [(random.choice(NAMES), random.choice(TEXTS)) for _ in range(random.randrange(3))]
    owner = random.choice(("", f"{resource['type']}/", f"{resource['type']}/1/"))
    if name == "graphql":
        more.append(("query", graphql(random, resource["type"])))
    return f"{owner}${name}", [*params[:1], *more]


def parameters(random: Random, rtype: str) -> Any:
    listed = [
        {"name": random.choice(NAMES)}
        | random.choice(({"valueString": random.choice(TEXTS)}, {"valueUri": value(random)}, {"resource": body(random, rtype)}, {"part": [value(random)]}))
        for _ in range(random.randrange(4))
    ]  # fmt: skip
    return random.choice(({"resourceType": "Parameters", "parameter": listed}, body(random, rtype)))


def patch(random: Random, rtype: str) -> dict[str, Any]:
    """A JSON Patch, a FHIRPath Patch or a merge."""
    paths = ("/status", "/name/0", "/x/-", "", "/~", f"{rtype}.status", f"{rtype}.name[0]", "a(", "/id")
    if random.random() < 0.5:
        listed = [
            {"op": random.choice(("add", "remove", "replace", "move", "copy", "test", "x")), "path": random.choice(paths), "from": random.choice(paths), "value": value(random)}
            for _ in range(random.randrange(3))
        ]  # fmt: skip
        return {"content": json.dumps(listed), "headers": {"content-type": "application/json-patch+json"}}
    parts = [
        {"name": random.choice(("type", "path", "name", "value", "index")), "valueString": random.choice((*paths, "add", "insert", "delete", "replace", "move"))}
        for _ in range(random.randrange(6))
    ]  # fmt: skip
    made = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}
    return {"json": random.choice((made, body(random, rtype)))}


def graphql(random: Random, rtype: str) -> str:
    """A document that may mean something."""
    argument = random.choice(
        (
            "",
            '(id: "1")',
            "(_count: -1)",
            '(name: "x", _sort: "y")',
            "(_reference: subject)",
            '(fhirpath: "a(")',
        )
    )
    inner = random.choice(("id", "name @flatten { given @first }", "text { status }", "resource { id }", "__typename", "a: id a: meta { id }",
                           'name @slice(fhirpath: "use") { use }', "...F", f"{rtype}List(_reference: patient) {{ id }}"))  # fmt: skip
    root = random.choice((rtype, f"{rtype}List", f"{rtype}Connection", "__type", random.choice(TEXTS)[:20]))
    return random.choice(("", "query ")) + "{ " + root + argument + " { " + inner + " } }"


def one(random: Random, statement: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    resource = random.choice(statement["rest"][0]["resource"])
    rtype = resource["type"]
    params = [
        (random.choice(resource["searchParam"])["name"] + random.choice(MODIFIERS), random.choice(TEXTS))
        for _ in range(random.randrange(4))
    ]
    if random.random() < 0.4:
        params.append(
            (
                random.choice(
                    (
                        "_sort",
                        "_count",
                        "_include",
                        "_revinclude",
                        "_summary",
                        "_elements",
                        "_total",
                        "_cursor",
                        "_since",
                        "_at",
                        "_format",
                    )
                ),
                random.choice((*TEXTS, f"{rtype}:subject", "-date", "_id")),
            )
        )
    path = random.choice(
        (
            rtype,
            rtype,
            f"{rtype}/1",
            f"{rtype}/{random.choice(TEXTS)[:40]}",
            f"{rtype}/1/_history",
            "_history",
            "",
            f"{rtype}/_search",
            f"{rtype}/1/_history/{random.choice(TEXTS)[:9]}",
        )
    )
    if random.random() < 0.25:
        path, params = operation(random, statement, resource, params)
    headers = {
        random.choice(
            ("if-match", "if-none-match", "prefer", "accept", "content-type", "if-none-exist")
        ): random.choice(('W/"1"', "x", "return=minimal", "identifier=a|b", "*/*", "application/json"))
        for _ in range(random.randrange(3))
    }
    method = random.choice(("GET", "GET", "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"))
    options: dict[str, Any] = {"params": params, "headers": headers}
    if method == "PATCH":
        options |= patch(random, rtype)
    elif method in ("POST", "PUT") and path.endswith("$graphql"):
        options["json"] = {"query": graphql(random, rtype), "variables": value(random)}
    elif method in ("POST", "PUT"):
        options["json"] = parameters(random, rtype) if "$" in path else body(random, rtype)
    return method, f"/fhir/{path}", options


@pytest.mark.timeout(max(300, REQUESTS // 5))
async def test_no_request_makes_the_server_fail(client: httpx.AsyncClient) -> None:
    random = Random(SEED)
    statement = (await client.get("/fhir/metadata")).json()
    for n in range(REQUESTS):
        method, path, options = one(random, statement)
        try:
            answer = await client.request(method, path, **options)
        except (httpx.InvalidURL, ValueError):  # not a request at all
            continue
        assert answer.status_code < 500, (
            n,
            method,
            path,
            options,
            answer.text[:400],
        )
