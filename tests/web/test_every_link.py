"""Whoever follows the links of the pages, from wherever they begin, always comes to a page."""

from __future__ import annotations

import html
import re
from collections import Counter, deque
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from commonchart.access import users
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.jobs import worker
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.web.conftest import Client, SignIn
from tests.web.test_quarantine import potassium

EACH = 1
"""So many pages of one kind are opened."""


@pytest.fixture
async def doubted(app: Any, database: Database, clock: Clock) -> None:
    """A result in quarantine, whose page lies deepest below the patient."""
    loader = Records(database, users.system(1, "test"), clock)
    await loader.commit([Put(validate(potassium("odd", "2026-11-10", "14")), "odd")])
    await worker.drain(database, clock)


@pytest.mark.parametrize(
    ("login", "begin"),
    [("sage", "/patients/ines"), ("root", "/users"), ("desk", "/patients"), ("ines", "/me")],
)
async def test_every_link_leads_to_a_page(sign_in: SignIn, doubted: None, login: str, begin: str) -> None:
    followed, dead = await walked(await sign_in(login), begin)
    assert dead == []
    assert len(followed) > 15
    if login == "sage":
        assert {
            "/patients/ines/quarantine/Observation/odd",
            "/patients/ines/facts/Observation/odd",
        } <= followed


async def walked(client: Client, begin: str) -> tuple[set[str], list[tuple[str, str]]]:
    """The paths that were opened, and (page, link) of what is not there or fails."""
    seen, kinds, dead = {begin}, Counter[str](), []
    todo = deque([("", begin)])
    while todo:
        page, address = todo.popleft()
        kind = re.sub(r"(?<=/)(?=[^/]*\d)[^/]+", "#", urlsplit(address).path)
        kinds[kind] += 1
        if kinds[kind] > EACH:
            continue
        answer = await client.get(address, follow_redirects=True)
        if answer.status_code >= 400:
            dead.append((page, address))
        if "text/html" in answer.headers.get("content-type", ""):
            new = [one for one in links(str(answer.url), answer.text) if one not in seen]
            seen.update(new)
            todo += [(address, one) for one in new]
    return {urlsplit(one).path for one in seen}, dead


def links(page: str, text: str) -> list[str]:
    """The addresses on this site that a page links to, but the one that ends the session."""
    found = (
        urljoin(page, html.unescape(one)).partition("#")[0]
        for one in re.findall(r'href="([^"#][^"]*)"', text)
    )
    ours = (one.removeprefix("http://test") for one in dict.fromkeys(found) if one.startswith("http://test/"))
    return [one for one in ours if not one.startswith(("/static/", "/sign-out"))]
