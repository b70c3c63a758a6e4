"""The keys of health cards: public for everybody, and never their private part."""

from __future__ import annotations

from pathlib import Path

import httpx

from commonchart import app as wiring
from commonchart.record.database import Database
from commonchart.settings import load
from tests.conftest import Clock


async def test_anybody_reads_the_public_keys(database: Database, clock: Clock, tmp_path: Path) -> None:
    settings = load({}, data_dir=tmp_path)
    transport = httpx.ASGITransport(wiring.build(settings, database, clock))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/.well-known/jwks.json")
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    [key] = answer.json()["keys"]
    assert key["kid"] == settings.card_keys[0]["kid"]
    assert "d" not in key
