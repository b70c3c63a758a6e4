"""The bar shows each person what they may go to, and every address in it answers."""

from __future__ import annotations

import re

import pytest

from commonchart.access import users
from commonchart.record import site as decisions
from commonchart.record.database import Database
from commonchart.web.menu import ADMINISTRATION, FIRST, GROUPS, PRIVACY
from tests.conftest import Clock
from tests.web.conftest import PASSWORD, SignIn

EVERY = [
    entry
    for entries in (FIRST, *(group.entries for group in (*GROUPS, PRIVACY, ADMINISTRATION)))
    for entry in entries
]


@pytest.mark.parametrize("mode", ["practice", "network"])
@pytest.mark.parametrize("login", ["sage", "desk", "root"])
async def test_what_is_offered_answers(sign_in: SignIn, database: Database, login: str, mode: str) -> None:
    async with database.connection() as conn:
        await decisions.put(conn, 1, "mode", mode)
    client = await sign_in(login)
    page = (await client.get("/patients")).text
    offered = [entry.href for entry in EVERY if f'href="{entry.href}"' in page]
    assert offered
    for href in offered:
        assert (await client.get(href)).status_code == 200, href


async def test_what_is_offered_answers_to_every_other_role(
    sign_in: SignIn, database: Database, clock: Clock
) -> None:
    refused = []
    for role in ("nurse", "billing", "lab", "quality", "privacy-officer"):
        await users.create(
            database, tenant=1, login=role, name=role, role=role, org="alder", now=clock(), password=PASSWORD
        )
        client = await sign_in(role)
        page = (await client.get("/patients")).text
        offered = [entry.href for entry in EVERY if f'href="{entry.href}"' in page]
        assert offered, role
        refused += [(role, href) for href in offered if (await client.get(href)).status_code != 200]
    assert refused == []


async def test_nobody_is_offered_what_is_refused(sign_in: SignIn) -> None:
    desk = (await (await sign_in("desk")).get("/patients")).text
    assert "/registry" not in desk
    assert "/reports/access" not in desk
    assert "/reports/access" in (await (await sign_in("root")).get("/patients")).text


def test_no_key_is_given_twice() -> None:
    keys = [entry.key for entry in EVERY if entry.key]
    assert len(keys) == len(set(keys))
    assert all(re.fullmatch(r"g [a-z]", key) for key in keys)
