"""A worker that is killed while it sends: nothing is sent twice, and what may have been sent is shown for a person to decide."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from commonchart.access.outreach import outbox
from commonchart.jobs import outreach
from commonchart.jobs.worker import Site
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.outreach import Practice, hook_server, mail_server, practice_of, woman

pytestmark = pytest.mark.fault
SITE = Site(Path("/nowhere"), base_url="http://test")

WORKER = """
import asyncio, sys
from datetime import datetime
from pathlib import Path
from commonchart.jobs import outreach
from commonchart.jobs.worker import Site
from commonchart.record.database import Database

async def main():
    database = await Database.open(sys.argv[1])
    now = datetime.fromisoformat(sys.argv[2])
    while True:
        await outreach.drain(database, lambda: now, Site(Path("/nowhere"), base_url="http://test"))
        await asyncio.sleep(0.05)

asyncio.run(main())
"""


def started(database: Database, clock: Clock) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WORKER, database.url, clock().isoformat()])


async def killed_when(worker: subprocess.Popen[bytes], ready: Any) -> None:
    """Kill -9 as soon as the other side has the message."""
    try:
        async with asyncio.timeout(60):
            while not ready():
                assert worker.poll() is None
                await asyncio.sleep(0.02)
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()


async def drain(practice: Practice) -> None:
    while await outreach.drain(practice.database, practice.clock, SITE):
        pass


async def test_mail_under_way_when_its_worker_is_killed_is_never_sent_twice(
    database: Database, clock: Clock, tmp_path: Path
) -> None:
    practice = await practice_of(database, clock)
    await practice.put(woman("ada"), woman("bea"))
    async with mail_server(practice, tmp_path) as (box, _):
        box.stuck = True
        campaign = await practice.begin("email")
        await killed_when(started(database, clock), lambda: box.messages)
        box.stuck = False
        states = [(await practice.message(campaign, who)).state for who in ("ada", "bea")]
        assert sorted(states) == ["sending", "waiting"]
        await drain(practice)
        clock.advance(minutes=6)
        await drain(practice)
        clock.advance(days=3)
        await drain(practice)
        assert sorted(box.recipients) == ["ada@post.example", "bea@post.example"]
    doubted = "ada" if states[0] == "sending" else "bea"
    message = await practice.message(campaign, doubted)
    assert (message.state, message.why) == ("doubt", "The program ended while this was being sent")
    assert [one["status"] for one in await practice.communications(doubted)] == ["unknown"]
    await outbox.resolve(practice.records, campaign, doubted, "drop")
    assert (await practice.message(campaign, doubted)).state == "failed"


async def test_texts_are_never_sent_twice_over_many_kills(database: Database, clock: Clock) -> None:
    """Killed again and again at whatever moment: everybody hears at most once, and nobody is forgotten."""
    practice = await practice_of(database, clock)
    everybody = [f"p{n}" for n in range(12)]
    await practice.put(*(woman(one) for one in everybody))
    async with hook_server(practice) as hook:
        campaign = await practice.begin("sms")
        for n in range(4):
            heard = len(hook.heard)
            await killed_when(started(database, clock), lambda heard=heard: len(hook.heard) > heard)
            clock.advance(minutes=6 + n)
        clock.advance(minutes=6)
        await drain(practice)
        assert len(hook.heard) >= 4
        ids = [one["id"] for one in hook.heard]
        assert len(ids) == len(set(ids))
        states = {who: await practice.message(campaign, who) for who in everybody}
        assert {one.state for one in states.values()} <= {"sent", "doubt"}
        assert {one.message_id for one in states.values() if one.state == "sent"} <= set(ids)
