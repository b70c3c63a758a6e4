"""A practice that contacts its patients, for tests: people who are due, a mail server with STARTTLS, a webhook."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol

from aiosmtpd.controller import Controller
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from commonchart.access import users
from commonchart.access.due import Filters
from commonchart.access.outreach import campaigns
from commonchart.access.outreach.campaigns import Wanted
from commonchart.access.records import Put, Records
from commonchart.care.outreach.reach import Wishes, with_wishes
from commonchart.fhir.validate import validate
from commonchart.jobs import worker
from commonchart.record import outreach, site
from commonchart.record.database import Database
from commonchart.record.outreach import Campaign, Message

Resource = dict[str, Any]
ICD = "http://hl7.org/fhir/sid/icd-10-cm"


def woman(id: str, wishes: Wishes = Wishes(opted_in=frozenset({"sms", "voice"})), **more: Any) -> Resource:
    """Somebody of 56 who has never been screened, can be reached by every channel, and agreed to texts and calls."""
    made = {
        "resourceType": "Patient", "id": id, "active": True, "gender": "female", "birthDate": "1970-03-14",
        "name": [{"use": "official", "family": "Hallow", "given": [id.title()]}],
        "telecom": [{"system": "email", "value": f"{id}@post.example"}, {"system": "phone", "value": "555 01420", "use": "mobile"}],
        "address": [{"line": ["4 Mill Lane"], "city": "Alder", "state": "OH", "postalCode": "44001"}],
    }  # fmt: skip
    return with_wishes(made | more, wishes)


def condition(id: str, patient: str, code: str, **more: Any) -> Resource:
    return {
        "resourceType": "Condition", "id": id, "subject": {"reference": f"Patient/{patient}"},
        "code": {"coding": [{"system": ICD, "code": code}], "text": "a problem"},
        "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]},
        "verificationStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "confirmed"}]},
    } | more  # fmt: skip


def colonoscopy(patient: str, day: str) -> Resource:
    return {
        "resourceType": "Procedure", "id": f"colonoscopy-{patient}", "status": "completed", "performedDateTime": day,
        "code": {"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": "45378"}]},
        "subject": {"reference": f"Patient/{patient}"},
    }  # fmt: skip


class Practice:
    """The records of a clinician, and short ways to what tests ask."""

    def __init__(self, database: Database, clock: Any, records: Records) -> None:
        self.database, self.clock, self.records = database, clock, records
        self._n = 0

    async def put(self, *resources: Resource) -> None:
        await self.records.commit([Put(validate(one), one["id"]) for one in resources])
        await worker.drain(self.database, self.clock)

    async def say(self, **settings: str) -> None:
        async with self.database.single() as conn:
            for key, value in settings.items():
                await site.put(conn, 1, key, value)

    async def begin(self, channel: str, rule: str = "colorectal", **filters: Any) -> Campaign:
        self._n += 1
        wanted = Wanted(Filters(rule=rule, **filters), channel, title=f"Campaign {self._n}")
        found = await campaigns.preview(self.records, wanted)
        return await campaigns.begin(self.records, f"c{self._n}", wanted, len(found.contacts))

    async def message(self, campaign: Campaign, patient: str) -> Message:
        async with self.database.single() as conn:
            found = await outreach.message(conn, 1, campaign.id, patient)
        assert found is not None
        return found

    async def communications(self, patient: str) -> list[Resource]:
        facts = await self.records.facts(patient, ["Communication"])
        return [json.loads(one.body or b"{}") for one in facts.items]


async def practice_of(database: Database, clock: Any) -> Practice:
    """A practice with a name and a number, in UTC."""
    user = await users.create(
        database, tenant=1, login="sage-out", name="Sage", role="clinician", org="alder", now=clock()
    )
    made = Practice(database, clock, Records(database, users.actor(user, "test"), clock))
    await made.say(name="Alder Street Practice", practice_phone="555 0100")
    return made


class Sayer(Protocol):
    """Whoever can set up a site."""

    async def say(self, **settings: str) -> None:
        """Decisions of the site."""
        ...


class Mailbox:
    """A mail server's memory; `said` answers DATA when it is set, `stuck` holds it for ever."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.secure: list[bool] = []
        self.said = ""
        self.drops = ""
        self.hangs_up = False
        self.stuck = False
        self.came = asyncio.Event()

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address == self.drops:
            server.transport.abort()
        envelope.rcpt_tos.append(address)
        return "250 known"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.said:
            return self.said
        self.secure.append(session.ssl is not None)
        self.messages.append(BytesParser(policy=default).parsebytes(envelope.content))  # type: ignore[arg-type]
        if self.hangs_up:
            server.transport.abort()
        if self.stuck:
            await asyncio.sleep(600)
        return "250 taken"

    @property
    def recipients(self) -> list[str]:
        return [str(one["To"]) for one in self.messages]


@asynccontextmanager
async def mail_server(
    practice: Sayer, folder: Path, *, starttls: bool = True
) -> AsyncIterator[tuple[Mailbox, MailServer]]:
    """A real SMTP server on a port of its own, and the site set up for it."""
    box, context = Mailbox(), _certificate(folder)
    server = MailServer(box, _free_port(), context if starttls else None)
    server.start()
    await practice.say(
        smtp_url=f"smtp://127.0.0.1:{server.port}", smtp_from="practice@alder.example",
        smtp_ca_file=str(folder / "ca.pem"),
    )  # fmt: skip
    try:
        yield box, server
    finally:
        server.stop()


class MailServer:
    """An SMTP server that can be stopped and started again on its port."""

    def __init__(self, box: Mailbox, port: int, context: ssl.SSLContext | None) -> None:
        self.box, self.port, self.context = box, port, context
        self._running: Controller | None = None

    def start(self) -> None:
        self._running = Controller(
            self.box, hostname="127.0.0.1", port=self.port, tls_context=self.context,
            require_starttls=self.context is not None,
        )  # fmt: skip
        self._running.start()

    def stop(self) -> None:
        if self._running is not None:
            self._running.stop(no_assert=True)
            self._running = None


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _certificate(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context


class Hook:
    """A service for texts and calls: what it heard, and what it answers (0: it hangs up)."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.heads: list[str] = []
        self.answers = 200

    async def speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(int(x.split(":")[1]) for x in head.splitlines() if x.startswith("content-length"))
        self.heads.append(head)
        self.heard.append(json.loads(await reader.readexactly(length)))
        if self.answers:
            writer.write(
                f"HTTP/1.1 {self.answers} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
            )
        writer.close()


@asynccontextmanager
async def hook_server(practice: Practice, channel: str = "sms") -> AsyncIterator[Hook]:
    """A webhook on localhost that the site lists as one that may be called."""
    hook = Hook()
    server = await asyncio.start_server(hook.speak, "127.0.0.1", 0)
    origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await practice.say(egress_origins=origin, **{f"outreach_{channel}_url": f"{origin}/send"})
    async with server:
        yield hook
