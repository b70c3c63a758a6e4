"""Topic-based subscriptions end to end: accepted or refused, greeted, told in order, kept from what is not theirs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from starlette.applications import Starlette

from commonchart.access import users
from commonchart.access.actors import Actor
from commonchart.exchange.egress import Guard, Rules, rules
from commonchart.exchange.subscriptions import accept, deliver, email, feed, state, topics
from commonchart.exchange.subscriptions.plan import EXT, plan_of
from commonchart.fhir.outcome import Forbidden, Invalid
from commonchart.fhir.validate import validate
from commonchart.jobs import subscriptions
from commonchart.jobs.worker import Site
from commonchart.record import changes
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.rest.conftest import Client, ClientOf, observation, patient

FULL = "full-resource"
LAB = [
    {
        "coding": [
            {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}
        ]
    }
]


class Hook:
    """A subscriber's server: what it heard, and what it answers (None: nothing at all)."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.heads: list[str] = []
        self.status: int | None = 200
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(
            int(x.split(":")[1]) for x in head.splitlines() if x.lower().startswith("content-length")
        )
        body = json.loads(await reader.readexactly(length))
        if self.status is None:
            writer.close()
            return
        if self.status == 200:
            self.heard.append(body)
            self.heads.append(head)
        writer.write(
            f"HTTP/1.1 {self.status} X\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret".encode()
        )
        writer.close()

    def kinds(self) -> list[str]:
        return [part(one, "type")["valueCode"] for one in self.heard]

    def numbers(self) -> list[int]:
        return [n for one in self.heard for n in numbers(one)]


def part(bundle: dict[str, Any], name: str) -> dict[str, Any]:
    return next(p for p in bundle["entry"][0]["resource"]["parameter"] if p["name"] == name)


def numbers(bundle: dict[str, Any]) -> list[int]:
    listed = [p for p in bundle["entry"][0]["resource"]["parameter"] if p["name"] == "notification-event"]
    return [int(q["valueString"]) for p in listed for q in p["part"] if q["name"] == "event-number"]


def foci(bundle: dict[str, Any]) -> list[str]:
    listed = [p for p in bundle["entry"][0]["resource"]["parameter"] if p["name"] == "notification-event"]
    return [q["valueReference"]["reference"] for p in listed for q in p["part"] if q["name"] == "focus"]


def subscription(endpoint: str, topic: str = "lab-result", *filters: str, **more: Any) -> dict[str, Any]:
    content = more.pop("content", "id-only")
    kind = more.pop("kind", "rest-hook")
    extra = [{"url": EXT + name, f"value{t}": v} for name, (t, v) in more.pop("ext", {}).items()]
    channel: dict[str, Any] = {
        "type": kind, "payload": "application/fhir+json",
        "_payload": {"extension": [{"url": f"{EXT}payload-content", "valueCode": content}]},
        **({"endpoint": endpoint} if endpoint else {}), **({"extension": extra} if extra else {}),
    }  # fmt: skip
    channel.update(more.pop("channel", {}))
    out = {
        "resourceType": "Subscription", "id": "s1", "status": "requested", "reason": "test", "channel": channel,
        "criteria": topics.BASE + topic,
    }  # fmt: skip
    if filters:
        listed = [{"url": f"{EXT}filter-criteria", "valueString": one} for one in filters]
        out["_criteria"] = {"extension": listed}
    return out | more


def lab(subject: str, id: str, **more: Any) -> dict[str, Any]:
    return observation(subject, id=id, category=LAB, **more)


class House:
    def __init__(self, client: Client, database: Database, clock: Clock, hook: Hook) -> None:
        self.client, self.database, self.clock, self.hook = client, database, clock, hook

    async def work(self, times: int = 1) -> None:
        """Follow the feed to its end, then wait for what is sent."""
        site = Site(data_dir=None, base_url="http://test")  # type: ignore[arg-type]
        for _ in range(200):
            await subscriptions.drain(self.database, self.clock, site)
            await deliver.settled()
            async with self.database.connection() as conn:
                if not await changes.waiting(conn, feed.CURSOR):
                    return
            await asyncio.sleep(0.02)

    async def put(self, resource: dict[str, Any], status: tuple[int, ...] = (200, 201)) -> Any:
        answer = await self.client.put(f"/fhir/{resource['resourceType']}/{resource['id']}", json=resource)
        assert answer.status_code in status, answer.text
        return answer

    async def subscribe(self, *given: Any, **how: Any) -> None:
        await self.put(subscription(self.hook.url, *given, **how))
        await self.work()

    async def status(self, id: str = "s1") -> str:
        return str((await self.client.get(f"/fhir/Subscription/{id}")).json()["status"])

    async def row(self, id: str = "s1") -> state.State | None:
        async with self.database.single() as conn:
            return await state.one(conn, 1, id)


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    made = Hook()
    server = await asyncio.start_server(made.speak, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


@pytest.fixture
async def house(client: Client, database: Database, clock: Clock, hook: Hook) -> House:
    async with database.single() as conn:
        await conn.execute(
            "INSERT INTO site_setting VALUES (1, 'egress_origins', %s)", (f"http://127.0.0.1:{hook.port}",)
        )
    made = House(client, database, clock, hook)
    await made.put(patient(id="ada"))
    await made.put(patient(id="bea"))
    return made


async def test_requested_greeted_active_and_told_in_order(house: House) -> None:
    await house.subscribe(channel={"header": ["Authorization: Bearer abc"]})
    assert house.hook.kinds() == ["handshake"]
    assert await house.status() == "active"
    for n in range(4):
        await house.put(lab("ada", f"o{n}"))
    await house.work()
    assert house.hook.numbers() == [1, 2, 3, 4]
    assert foci(house.hook.heard[-1])[-1] == "http://test/fhir/Observation/o3"
    assert all("resource" not in entry for entry in house.hook.heard[-1]["entry"][1:])
    assert "authorization: bearer abc" in house.hook.heads[-1].lower()
    for bundle in house.hook.heard:
        validate(bundle)
    row = await house.row()
    assert row is not None
    assert (row.events, row.delivered) == (4, 4)


@pytest.mark.parametrize("content", ["empty", "id-only", FULL])
async def test_content_levels(house: House, content: str) -> None:
    await house.subscribe(content=content)
    await house.put(lab("ada", "o1", valueString="canary"))
    await house.work()
    told = house.hook.heard[-1]
    validate(told)
    assert numbers(told) == [1]
    assert foci(told) == ([] if content == "empty" else ["http://test/fhir/Observation/o1"])
    assert len(told["entry"]) == (1 if content == "empty" else 2)
    assert ("canary" in json.dumps(told)) is (content == FULL)


async def test_filters_and_what_does_not_fire(house: House) -> None:
    await house.subscribe("lab-result", "Observation?patient=Patient/ada&code=http://loinc.org|4548-4,x")
    for one in (
        lab("bea", "other-patient"), observation("ada", id="no-lab"), lab("ada", "early", status="preliminary"),
        lab("ada", "other-code", code={"coding": [{"system": "http://loinc.org", "code": "1-1"}]}),
    ):  # fmt: skip
        await house.put(one)
    await house.work()
    assert house.hook.numbers() == []
    await house.put(lab("ada", "early"))
    await house.put(lab("ada", "early", note=[{"text": "only a note"}]))
    await house.put(lab("ada", "early", status="corrected"))
    await house.work()
    assert [f for b in house.hook.heard for f in foci(b)] == ["http://test/fhir/Observation/early"] * 2


FIRES = {
    "encounter-start": [
        ({"status": "planned"}, 0),
        ({"status": "in-progress"}, 1),
        ({"status": "in-progress"}, 0),
    ],
    "encounter-end": [
        ({"status": "in-progress"}, 0),
        ({"status": "finished"}, 1),
        ({"status": "finished"}, 0),
    ],
    "admission": [
        ({"status": "in-progress", "kind": "AMB"}, 0),
        ({"status": "in-progress", "kind": "IMP"}, 1),
    ],
    "discharge": [({"status": "in-progress", "kind": "IMP"}, 0), ({"status": "finished", "kind": "IMP"}, 1)],
}


@pytest.mark.parametrize("topic", sorted(FIRES))
async def test_visits(house: House, topic: str) -> None:
    await house.subscribe(topic)
    for given, expected in FIRES[topic]:
        before = len(house.hook.numbers())
        kind = given.get("kind", "AMB")
        visit = {"resourceType": "Encounter", "id": "e", "status": given["status"], "class": {"code": kind},
                 "subject": {"reference": "Patient/ada"}}  # fmt: skip
        await house.put(visit)
        await house.work()
        assert len(house.hook.numbers()) - before == expected, given


async def test_patients_tasks_and_consents(house: House) -> None:
    for n, topic in enumerate(
        ("patient-update", "task-assigned", "consent-change", "document", "appointment-change")
    ):
        await house.put(subscription(house.hook.url, topic, id=f"t{n}"))
    await house.work()
    assert house.hook.kinds() == ["handshake"] * 5
    task = {
        "resourceType": "Task",
        "id": "t",
        "status": "requested",
        "intent": "order",
        "for": {"reference": "Patient/ada"},
    }
    await house.put(patient(id="ada", active=True))
    await house.put(task)
    await house.put({**task, "owner": {"reference": "Practitioner/a"}})
    await house.put({**task, "owner": {"reference": "Practitioner/a"}, "status": "accepted"})
    await house.put({**task, "owner": {"reference": "Practitioner/b"}})
    await house.put({
        "resourceType": "Appointment", "id": "a", "status": "booked", "start": "2026-12-01T10:00:00Z",
        "end": "2026-12-01T10:15:00Z",
        "participant": [{"actor": {"reference": "Patient/ada"}, "status": "accepted"}]})  # fmt: skip
    await house.client.delete("/fhir/Appointment/a")
    await house.work()
    assert [(row.id, row.events) for n in range(5) if (row := await house.row(f"t{n}"))] == [
        ("t0", 1), ("t1", 2), ("t2", 0), ("t3", 0), ("t4", 2),
    ]  # fmt: skip


async def test_down_then_back_nothing_is_lost_and_order_is_kept(house: House) -> None:
    await house.subscribe(ext={"max-count": ("PositiveInt", 2)})
    house.hook.status = None
    for n in range(5):
        await house.put(lab("ada", f"o{n}"))
    await house.work()
    row = await house.row()
    assert row is not None
    assert (row.state, row.failures, row.delivered, row.events) == ("active", 1, 0, 5)
    await house.work()
    again = await house.row()
    assert again is not None
    assert again.failures == 1
    house.hook.status = 503
    house.clock.advance(seconds=6)
    await house.work()
    row = await house.row()
    assert row is not None
    assert row.failures == 2
    assert "503" in row.error
    assert "secret" not in row.error
    house.hook.status = 200
    house.clock.advance(seconds=16)
    await house.work()
    assert house.hook.numbers() == [1, 2, 3, 4, 5]
    assert [len(numbers(one)) for one in house.hook.heard[1:]] == [2, 2, 1]


async def test_dead_for_long_is_error_and_asked_again_is_active(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "BACKOFF_SECONDS", (5, 15))
    await house.subscribe()
    house.hook.status = 500
    await house.put(lab("ada", "o1"))
    for _ in range(3):
        await house.work()
        house.clock.advance(seconds=20)
    assert await house.status() == "error"
    await house.put(lab("ada", "o2"))
    await house.work()
    house.hook.status = 200
    await house.put(subscription(house.hook.url))
    await house.work()
    assert await house.status() == "active"
    assert house.hook.kinds()[-2] == "handshake"
    assert house.hook.numbers() == [1, 2]


async def test_a_handshake_that_is_not_answered_is_error(house: House) -> None:
    house.hook.status = 404
    await house.subscribe()
    assert await house.status() == "error"
    stored = (await house.client.get("/fhir/Subscription/s1")).json()
    assert stored["error"] == "The endpoint answers 404"
    assert "secret" not in json.dumps(stored)


async def test_a_slow_endpoint_blocks_only_itself(house: House) -> None:
    open_until = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await open_until.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    slow = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, house.database.single() as conn:
        await conn.execute(
            "UPDATE site_setting SET value = value || ' ' || %s WHERE key = 'egress_origins'", (slow,)
        )
        await house.put(subscription(f"{slow}/", id="slow", ext={"timeout": ("UnsignedInt", 60)}))
        site = Site(data_dir=None, base_url="http://test")  # type: ignore[arg-type]
        await house.put(subscription(house.hook.url))
        for _ in range(200):
            await subscriptions.drain(house.database, house.clock, site)
            await asyncio.sleep(0.01)
            if house.hook.heard and len(deliver._running) == 1:
                break
        assert house.hook.kinds() == ["handshake"]
        assert len(deliver._running) == 1
        open_until.set()
        await deliver.settled()


async def test_heartbeat_and_end(house: House) -> None:
    end = (house.clock() + timedelta(minutes=10)).isoformat()
    await house.subscribe(ext={"heartbeat-period": ("UnsignedInt", 60)}, end=end)
    house.clock.advance(seconds=61)
    await house.work()
    assert house.hook.kinds() == ["handshake", "heartbeat"]
    house.clock.advance(minutes=10)
    await house.put(lab("ada", "o1"))
    await house.work()
    assert await house.status() == "off"
    assert house.hook.numbers() == []


async def test_off_and_deleted_stop_it(house: House) -> None:
    await house.subscribe()
    await house.put(subscription(house.hook.url, status="off"))
    await house.put(lab("ada", "o1"))
    await house.work()
    assert house.hook.numbers() == []
    await house.put(subscription(house.hook.url))
    await house.work()
    assert (await house.client.delete("/fhir/Subscription/s1")).status_code == 204
    await house.put(lab("ada", "o2"))
    await house.work()
    assert house.hook.numbers() == []
    assert await house.row() is None


async def test_numbers_go_on_after_a_restart_of_everything(house: House) -> None:
    await house.subscribe()
    await house.put(lab("ada", "o1"))
    await house.work()
    deliver._running.clear()
    again = await Database.open(house.database.url)
    other = House(house.client, again, house.clock, house.hook)
    await other.put(lab("ada", "o2"))
    await other.work()
    await again.close()
    assert house.hook.numbers() == [1, 2]


async def test_a_sender_that_died_is_followed_by_another(house: House) -> None:
    """What was sent and not acknowledged is sent again, with the same number."""
    await house.subscribe()
    async with house.database.single() as conn:
        row = await house.row()
        assert row is not None
        assert await state.hold(conn, row, house.clock(), 40)
        assert await state.hold(conn, row, house.clock(), 40) is None
    await house.put(lab("ada", "o1"))
    await house.work()
    assert house.hook.numbers() == []
    house.clock.advance(seconds=41)
    await house.work()
    assert house.hook.numbers() == [1]


# ---- rights (hostile A31, B3) ----------------------------------------------------------------------------------


async def test_somebody_shut_out_is_told_nothing_more(house: House) -> None:
    await house.subscribe()
    house.hook.status = 500
    await house.put(lab("ada", "before"))
    await house.work()
    await users.set_active(house.database, "administrator-0", False, house.clock())
    house.hook.status = 200
    house.clock.advance(seconds=10)
    site = Site(data_dir=None, base_url="http://test")  # type: ignore[arg-type]
    await subscriptions.drain(house.database, house.clock, site)
    await deliver.settled()
    assert house.hook.numbers() == []
    row = await house.row()
    assert row is not None
    assert (row.state, row.error) == ("error", "The access of whoever asked for this has ended")


async def test_a_narrower_role_gets_only_what_it_may_see_at_sending(house: House) -> None:
    await house.subscribe(content=FULL)
    house.hook.status = 500
    await house.put(lab("ada", "o1", valueString="canary"))
    await house.work()
    async with house.database.single() as conn:
        await conn.execute(
            "UPDATE membership m SET role = 'front-desk' FROM app_user u WHERE u.id = m.actor AND u.login = 'administrator-0'"
        )
    house.hook.status = 200
    house.clock.advance(seconds=10)
    await house.work()
    told = house.hook.heard[-1]
    validate(told)
    assert numbers(told) == [1]
    assert told["entry"][1]["resource"]["resourceType"] == "OperationOutcome"
    assert "canary" not in json.dumps(told)
    assert "Observation/o1" not in json.dumps(told)


async def test_a_patient_may_only_ask_for_their_own_record(database: Database, clock: Clock) -> None:
    who = Actor(1, "u", "U", "patient", "", "test", patient="ada", network=False)
    guard = Guard(rules("http://127.0.0.1:9"))
    url = "http://127.0.0.1:9/"
    async with database.single() as conn:
        for filters in (
            (),
            ("Observation?patient=Patient/ada",),
            ("Observation?patient=Patient/ada", "DiagnosticReport?patient=Patient/bea"),
            ("Observation?patient=Patient/ada,Patient/bea", "DiagnosticReport?patient=Patient/ada"),
            ("Observation?code=x", "DiagnosticReport?patient=Patient/ada"),
        ):
            with pytest.raises(Forbidden, match="own record"):
                await accept.accept(conn, who, subscription(url, "lab-result", *filters), clock(), guard)
        fine = ("Observation?patient=Patient/ada", "DiagnosticReport?subject=Patient/ada")
        taken = await accept.accept(conn, who, subscription(url, "lab-result", *fine), clock(), guard)
        assert taken["status"] == "requested"


async def test_roles_that_may_not(house: House, client_of: ClientOf, database: Database) -> None:
    for role in ("patient", "front-desk"):
        other = await client_of(role, patient="ada" if role == "patient" else None)
        sent = subscription(house.hook.url, "lab-result", "Observation?patient=Patient/ada")
        assert (await other.put("/fhir/Subscription/s1", json=sent)).status_code == 403
        assert (await other.post("/fhir/Subscription", json=sent)).status_code == 403
    async with database.single() as conn:
        rows = await conn.fetch(
            "SELECT role, outcome FROM audit WHERE rtype = 'Subscription' ORDER BY seq", ()
        )
    assert [tuple(row) for row in rows] == [("patient", 8)] * 2 + [("front-desk", 8)] * 2


BAD: list[tuple[dict[str, Any], str]] = [
    ({"criteria": "Observation?"}, "criteria"),
    ({"criteria": topics.BASE + "everything"}, "criteria"),
    ({"channel": {"type": "message"}}, "channel.type"),
    ({"channel": {"type": "sms"}}, "channel.type"),
    ({"channel": {"payload": "application/xml"}}, "channel.payload"),
    ({"content": "everything"}, "channel.payload"),
    ({"channel": {"header": ["Host: x"]}}, "channel.header"),
    ({"channel": {"header": ["no colon"]}}, "channel.header"),
    ({"end": "2020-01-01T00:00:00Z"}, "end"),
    ({"ext": {"timeout": ("UnsignedInt", 6000)}}, "channel.extension"),
    ({"ext": {"heartbeat-period": ("UnsignedInt", 1)}}, "channel.extension"),
    ({"ext": {"max-count": ("PositiveInt", 100_000)}}, "channel.extension"),
    ({"kind": "email", "channel": {"endpoint": "mailto:a@b.example"}}, "channel.type"),
]


@pytest.mark.parametrize(("how", "place"), BAD)
async def test_refused_with_the_rule(house: House, how: dict[str, Any], place: str) -> None:
    sent = subscription(
        house.hook.url, **{**how, "channel": dict(how["channel"])} if "channel" in how else dict(how)
    )
    answer = await house.client.put("/fhir/Subscription/s1", json=sent)
    assert answer.status_code in (403, 422), answer.text
    assert answer.json()["issue"][0]["expression"][0].startswith(f"Subscription.{place}")
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000001", "resource": sent,
         "request": {"method": "PUT", "url": "Subscription/s1"}}]}  # fmt: skip
    assert (await house.client.post("/fhir", json=bundle)).status_code in (403, 422)


@pytest.mark.parametrize(
    "filters",
    [
        "Patient?patient=Patient/ada",
        "Observation?" + "code=x&" * 60,
        "Observation?code=%ff",
        "Observation?status:not=final",
        "Observation?name=x",
        "Observation",
        "Observation?code=",
    ],
)
async def test_filters_that_are_not_offered(house: House, filters: str) -> None:
    answer = await house.client.put(
        "/fhir/Subscription/s1", json=subscription(house.hook.url, "lab-result", filters)
    )
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/admin", "https://169.254.169.254/latest", "https://[::ffff:127.0.0.1]/", "https://u@x.example/",
        "https://x.example:25/", "file:///etc/passwd", "http://localhost/", "https://2130706433/", "unix:///run/x", "",
    ],
)  # fmt: skip
async def test_endpoints_that_are_never_called(house: House, url: str) -> None:
    """Hostile H1: refused when it is asked for."""
    answer = await house.client.put("/fhir/Subscription/s1", json=subscription(url))
    assert answer.status_code in (403, 422), answer.text


async def test_an_endpoint_that_moves_inside_is_not_called(house: House) -> None:
    """Rebinding: the name was fine when it was asked for, and leads to our own network when it is called."""
    asked = 0

    async def moving(host: str, port: int) -> list[str]:
        nonlocal asked
        asked += 1
        return ["93.184.216.34"] if asked == 1 else ["127.0.0.1"]

    guard = Guard(Rules(), moving)
    assert (await guard.check(f"https://hooks.example/{house.hook.port}")).ip == "93.184.216.34"
    user = await users.find(house.database, "administrator-0")
    async with house.database.single() as conn:
        plan = plan_of(subscription("https://hooks.example/x"))
        await state.begin(conn, 1, "s9", 1, (user.id, user.org), plan, house.clock())
    await deliver.begin(deliver.Post(house.database, house.clock, "http://test/fhir", guard))
    await deliver.settled()
    row = await house.row("s9")
    assert row is not None
    assert (row.state, row.error) == ("error", "The address is not on the public Internet")
    assert house.hook.heard == []


async def test_one_that_comes_by_the_loader_is_looked_at_too(house: House) -> None:
    from commonchart.access.records import Put, Records

    user = await users.find(house.database, "administrator-0")
    records = Records(house.database, users.actor(user, "load"), house.clock)
    await records.commit([Put(validate(subscription("https://10.0.0.1/", id="s7")), "s7")])
    await house.work()
    assert await house.status("s7") == "error"


async def test_what_cannot_be_decided_is_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """One change that nobody foresaw neither stops the feed nor goes by in silence."""
    await house.subscribe()

    def broken(*given: Any) -> bool:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(feed.match, "fires", broken)
        await house.put(lab("ada", "o1"))
        await house.work()
    await house.put(lab("ada", "o2"))
    await house.work()
    assert house.hook.numbers() == [1, 2]


async def test_a_bug_of_ours_while_sending_is_shown_and_tried_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.subscribe()

    def broken(*given: Any, **how: Any) -> dict[str, Any]:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(deliver.notification, "bundle", broken)
        await house.put(lab("ada", "o1"))
        await house.work()
    row = await house.row()
    assert row is not None
    assert (row.failures, row.error) == (1, "Something went wrong here (ZeroDivisionError)")
    house.clock.advance(seconds=10)
    await house.work()
    assert house.hook.numbers() == [1]


# ---- operations ------------------------------------------------------------------------------------------------


async def test_status_and_events(house: House, client_of: ClientOf) -> None:
    await house.subscribe(content=FULL)
    for n in range(3):
        await house.put(lab("ada", f"o{n}"))
    await house.work()
    found = (await house.client.get("/fhir/Subscription/s1/$status")).json()
    validate(found)
    told = {p["name"]: p for p in found["entry"][0]["resource"]["parameter"]}
    assert (told["status"]["valueCode"], told["events-since-subscription-start"]["valueString"]) == (
        "active",
        "3",
    )
    everything = (await house.client.get("/fhir/Subscription/$status?status=active")).json()
    assert everything["total"] == 1
    assert (await house.client.get("/fhir/Subscription/$status?id=other")).json()["total"] == 0
    past = (
        await house.client.get("/fhir/Subscription/s1/$events?eventsSinceNumber=2&eventsUntilNumber=3")
    ).json()
    validate(past)
    assert (numbers(past), part(past, "type")["valueCode"]) == ([2, 3], "query-event")
    assert past["entry"][1]["resource"]["id"] == "o1"
    other = await client_of("clinician")
    assert (await other.get("/fhir/Subscription/s1/$status")).status_code == 404
    assert (await other.get("/fhir/Subscription/s1/$events")).status_code == 404
    assert (await other.get("/fhir/Subscription/$status")).json()["total"] == 0
    assert (await house.client.get("/fhir/Subscription/s1/$events?content=shoe")).status_code == 400


async def test_email_says_nothing_of_the_patient(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []

    async def send(message: Any, **how: Any) -> None:
        sent.append((message, how))

    monkeypatch.setattr(email.aiosmtplib, "send", send)
    async with house.database.single() as conn:
        await conn.execute("INSERT INTO site_setting VALUES (1, 'smtp_url', 'smtp://mail.example:2525')")
    mail = {"kind": "email", "channel": {"endpoint": "mailto:a@b.example"}}
    refused = await house.client.put("/fhir/Subscription/s1", json=subscription("", content=FULL, **mail))
    assert refused.status_code == 403
    await house.put(subscription("", content="empty", **{**mail, "channel": dict(mail["channel"])}))
    await house.work()
    await house.put(lab("ada", "o1"))
    await house.work()
    ((message, how),) = sent
    assert (message["To"], how["hostname"], how["port"]) == ("a@b.example", "mail.example", 2525)
    assert "ada" not in message.as_string()
    assert "o1" not in message.as_string()
    for bad in (
        "mailto:a@b.example\r\nBcc: x@y.example",
        "mailto:a@b.example,c@d.example",
        "https://x.example",
    ):
        assert (
            await house.client.put(
                "/fhir/Subscription/s1", json=subscription("", kind="email", channel={"endpoint": bad})
            )
        ).status_code == 422


def test_every_topic_is_wellformed() -> None:
    from commonchart.fhir.path.engine import compiled
    from commonchart.search.parameters import parameters

    for topic in topics.TOPICS:
        for trigger in topic.triggers:
            for expression in filter(None, (trigger.holds, trigger.differs)):
                compiled(expression)
            known = set(parameters(trigger.rtype)) | {"patient", "_id"}
            assert topic.filters & known


def test_a_plan_needs_a_topic() -> None:
    with pytest.raises(Invalid):
        plan_of({})


async def test_the_trail_says_who_was_told_about_whom(house: House, application: Starlette) -> None:
    await house.subscribe()
    await house.put(lab("ada", "o1"))
    await house.work()
    async with house.database.single() as conn:
        row = await (
            await conn.execute(
                "SELECT patients, id FROM audit WHERE action = 'notify' ORDER BY seq DESC LIMIT 1"
            )
        ).fetchone()
    assert row == (["ada"], "s1")
    assert application.state.settings is not None


# ---- websocket -------------------------------------------------------------------------------------------------


class Line:
    """A websocket client over ASGI, in this very loop."""

    def __init__(self, application: Starlette) -> None:
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope = {"type": "websocket", "path": "/fhir-websocket", "raw_path": b"/fhir-websocket", "headers": [],
                 "query_string": b"", "root_path": "", "subprotocols": [], "scheme": "ws", "app": application}  # fmt: skip
        self.inbox.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.ensure_future(application(scope, self.inbox.get, self.outbox.put))

    def say(self, text: str) -> None:
        self.inbox.put_nowait({"type": "websocket.receive", "text": text})

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            return await self.outbox.get()

    async def bundle(self) -> dict[str, Any]:
        return json.loads((await self.hear())["text"])

    async def leave(self) -> None:
        self.inbox.put_nowait({"type": "websocket.disconnect"})
        await self.task


async def bound(house: House, application: Starlette) -> tuple[Line, str]:
    given = await house.client.get("/fhir/Subscription/s1/$get-ws-binding-token")
    assert given.status_code == 200, given.text
    validate(given.json())
    said = {p["name"]: p for p in given.json()["parameter"]}
    assert said["websocket-url"]["valueUrl"] == "ws://test/fhir-websocket"
    line = Line(application)
    assert (await line.hear())["type"] == "websocket.accept"
    token = said["token"]["valueString"]
    line.say(f"bind-with-token {token}")
    return line, token


async def test_a_websocket_is_bound_told_and_closed(house: House, application: Starlette) -> None:
    await house.put(subscription("", kind="websocket"))
    await house.work()
    assert await house.status() == "active"
    await house.put(lab("ada", "o1"))
    await house.work()
    line, token = await bound(house, application)
    assert part(await line.bundle(), "type")["valueCode"] == "handshake"
    first = await line.bundle()
    assert (numbers(first), foci(first)[0].endswith("Observation/o1")) == ([1], True)
    await house.put(lab("ada", "o2"))
    await house.work()
    assert numbers(await line.bundle()) == [2]
    async with asyncio.timeout(5):
        while (row := await house.row()) is not None and row.delivered < 2:
            await asyncio.sleep(0.01)
    again = Line(application)
    await again.hear()
    again.say(f"bind-with-token {token}")
    assert (await again.hear())["type"] == "websocket.close"
    await users.set_active(house.database, "administrator-0", False, house.clock())
    assert (await line.hear())["type"] == "websocket.close"
    await line.leave()
    await again.leave()


@pytest.mark.parametrize("text", ["bind-with-token nothing", "hello", "", "x" * 100_000])
async def test_a_websocket_without_its_token_is_closed(application: Starlette, text: str) -> None:
    line = Line(application)
    await line.hear()
    line.say(text)
    assert (await line.hear())["type"] == "websocket.close"
    await line.leave()


async def test_a_token_is_for_ones_own_websockets_and_expires(
    house: House, application: Starlette, client_of: ClientOf
) -> None:
    await house.put(subscription("", kind="websocket"))
    await house.work()
    other = await client_of("clinician")
    assert (await other.get("/fhir/Subscription/s1/$get-ws-binding-token")).status_code == 404
    await house.put(subscription(house.hook.url, id="s2"))
    await house.work()
    assert (await house.client.get("/fhir/Subscription/s2/$get-ws-binding-token")).status_code == 400
    given = (await house.client.get("/fhir/Subscription/$get-ws-binding-token?id=s1")).json()
    house.clock.advance(minutes=6)
    line = Line(application)
    await line.hear()
    line.say("bind-with-token " + given["parameter"][0]["valueString"])
    assert (await line.hear())["type"] == "websocket.close"
    await line.leave()


async def test_the_capability_statement_names_the_topics(client: Client) -> None:
    found = (await client.get("/fhir/metadata")).json()
    (entry,) = [one for one in found["rest"][0]["resource"] if one["type"] == "Subscription"]
    assert [one["valueCanonical"] for one in entry["extension"]] == [topic.url for topic in topics.TOPICS]
    validate(found)


@pytest.mark.parametrize(
    "path",
    [
        "Subscription/$get-ws-binding-token?id=%00", "Subscription/$get-ws-binding-token", "Subscription/%00/$status",
        "Subscription/s1/$events?eventsSinceNumber=x", "Subscription/s1/$events?eventsSinceNumber=-5",
        "Subscription/s1/$events?eventsUntilNumber=99999999999999999999", "Subscription/$status?id=%00", "_bulk/%00",
        "_bulk/x/y/z", "_bulk", "_bulk/00000000-0000-0000-0000-000000000000/%00?expires=%00&signature=%00",
        "_bulk/00000000-0000-0000-0000-000000000000/1.x?expires=99999999999999&signature=%C3%A9", "$export?_since=%00",
        "$export?_typeFilter=Patient?name=%00", "$export?_elements=%00", "Group/%00/$export",
    ],
)  # fmt: skip
async def test_nonsense_is_no_error_of_ours(house: House, path: str) -> None:
    await house.subscribe()
    answer = await house.client.get(f"/fhir/{path}", headers={"prefer": "respond-async"})
    assert answer.status_code < 500, answer.text
