"""`commonchart serve`: one parent that runs PostgreSQL, the web processes and a worker, and ends them with itself."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import http.client
import os
import select
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

import click
import msgspec
import structlog

from commonchart.cli.open import data_option, program_url, settings_of
from commonchart.cli.processes import Crew, Post
from commonchart.exchange import rotation
from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Busy, Invalid, Refused
from commonchart.ops import logs
from commonchart.record import audit_months, login, site
from commonchart.record.database import Database
from commonchart.record.embedded import Embedded
from commonchart.record.sealed import Keys
from commonchart.record.upgrade import migrate
from commonchart.settings import Settings

WEB = "web"
POOL = 8
BACKLOG = 512
DRAIN_SECONDS = 10
TICK_SECONDS = 0.25
PORT_SECONDS = 2.0  # the web processes of a server that was killed need a moment to notice
LONGEST_PAUSE = 15.0
OWNS = (
    "the program's login owns the tables: give it one that owns nothing (DATABASE_PROGRAM_URL, see "
    "docs/how-to/own-postgresql.md)"
)


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Where to listen. Default 8000; 0 for a free one."
)
@click.option("--host", help="The address to listen on. Default 127.0.0.1: this machine only.")
@click.option("--workers", type=click.IntRange(1, 64), help="How many web processes. Default 1.")
@click.option(
    "--mode", type=click.Choice(["practice", "network"]), help="What a new site starts as. Default practice."
)
@click.option(
    "--tls",
    type=(
        click.Path(exists=True, dir_okay=False, path_type=Path),
        click.Path(exists=True, dir_okay=False, path_type=Path),
    ),
    metavar="CERT KEY",
    help="Speak https only (TLS 1.2 and up), with this certificate chain and private key (PEM).",
)
@data_option
def serve(
    port: int | None,
    host: str | None,
    workers: int | None,
    mode: str | None,
    tls: tuple[Path, Path] | None,
    data: Path | None,
) -> None:
    """Serve the record. Prints `ready` and the address when it answers; Ctrl-C or SIGTERM ends it in good order."""
    cert, key = (str(path.absolute()) for path in tls) if tls else (None, None)
    serve_until_stopped(
        settings_of(data, port=port, host=host, workers=workers, mode=mode, tls_cert=cert, tls_key=key)
    )


def serve_until_stopped(
    settings: Settings,
    ready: Callable[[Settings], None] | None = None,
    also: Callable[[Settings], Sequence[Post]] | None = None,
) -> None:
    """Everything that `commonchart serve` does, for commands that do more.

    `ready` is called when it answers. `also` gives more work for processes of their own, out of settings whose
    `database_url` is the address of the running database.
    """
    logs.configure(settings.log_level, process="parent")
    tls_of(settings)
    with listening(settings.host, settings.port) as listener:
        settings = msgspec.structs.replace(settings, port=listener.getsockname()[1])
        House(settings, listener, ready or announce, also).run()


def announce(settings: Settings) -> None:
    """Say where the record is to be found."""
    click.echo(f"ready {settings.address}")


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens. Raises Invalid, in words, when the port cannot be had."""
    deadline = time.monotonic() + PORT_SECONDS
    while True:
        try:
            listener = _bound(host, port)
            break
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise Invalid(_why_not(error, host, port)) from None
        time.sleep(0.1)
    with listener:
        yield listener


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken by another program. Stop that one, or choose another with --port."
    if error.errno == errno.EACCES:
        return f"Port {port} is open to root only. Choose one above 1023 with --port."
    return f"Cannot listen on {host} port {port}: {error.strerror}"


class House:
    """The parent. It does no work of its own but to watch over those who do."""

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        ready: Callable[[Settings], None],
        also: Callable[[Settings], Sequence[Post]] | None = None,
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._ready = ready
        self._also = also
        self._stopping = False
        self._embedded: Embedded | None = None
        self._pause, self._not_before = 0.0, 0.0
        self._wake, self._waker = os.pipe()
        self._log = structlog.get_logger()

    def run(self) -> None:
        """Start everything, keep it running until told to stop, and stop everything."""
        self._heed_signals()
        try:
            self._serve()
        except Refused:
            if not self._stopping:
                raise
        finally:
            if self._embedded is not None:
                self._embedded.stop()

    def _serve(self) -> None:
        url = self._database()
        migrate(url)
        site.settle(url, self._settings.tenant, self._settings.mode)
        settings = msgspec.structs.replace(
            self._settings, database_url=url, database_program_url=program_url(self._settings, url)
        )
        if login.owns(settings.database_program_url or url):
            self._log.warning(OWNS)
        asyncio.run(_prepared(settings))
        crew = Crew(self._posts(settings), self._in_child)
        try:
            crew.start()
            self._until_ready(crew)
            while not self._stopping:
                self._rest(TICK_SECONDS)
                self._mend_database()
                crew.mend()
        finally:
            crew.stop()

    def _database(self) -> str:
        if self._settings.database_url:
            return self._settings.database_url
        self._embedded = Embedded(
            self._settings.data_dir, bindir=self._settings.bindir, given_up=lambda: self._stopping
        )
        return self._embedded.start()

    def _posts(self, settings: Settings) -> list[Post]:
        # nobody who speaks with the world needs the owner's address
        walled = msgspec.structs.replace(
            settings, database_url=settings.database_program_url or settings.database_url
        )
        web = [
            Post(f"{WEB}-{n}", lambda: serve_web(walled, self._listener))
            for n in range(1, settings.workers + 1)
        ]
        worker = [Post("worker", lambda: work(settings))] if find_spec("commonchart.jobs.worker") else []
        return [*web, *worker, *(self._also(settings) if self._also else ())]

    def _in_child(self) -> None:
        if self._embedded is not None:
            self._embedded.lock.free()

    def _until_ready(self, crew: Crew) -> None:
        while not self._stopping:
            if answers(self._listener, tls=bool(self._settings.tls_cert)):
                self._ready(self._settings)
                return
            crew.mend()
            if crew.failing(WEB):
                raise Busy("The server ends as soon as it is started; the lines above say where.")
            self._rest(0.05)

    def _mend_database(self) -> None:
        embedded = self._embedded
        if embedded is None or embedded.alive() or time.monotonic() < self._not_before:
            return
        self._log.error("postgres ended; starting it again")
        try:
            embedded.revive()
            self._pause = 0.0
        except Refused as refused:
            self._pause = min(LONGEST_PAUSE, max(0.5, self._pause * 2))
            self._not_before = time.monotonic() + self._pause
            if not self._stopping:
                self._log.error("postgres does not start", error=str(refused))

    def _heed_signals(self) -> None:
        os.set_blocking(self._waker, False)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _rest(self, seconds: float) -> None:
        if select.select([self._wake], [], [], seconds)[0]:
            os.read(self._wake, 4096)


def answers(listener: socket.socket, *, tls: bool = False) -> bool:
    """Whether a web process behind this socket says that it can serve."""
    host, port = listener.getsockname()[:2]
    near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    connection = _to_ourselves(near, port) if tls else http.client.HTTPConnection(near, port, timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _to_ourselves(host: str, port: int) -> http.client.HTTPConnection:
    """By https to our own socket: the certificate names the site, not this address."""
    return http.client.HTTPSConnection(host, port, timeout=2, context=ssl._create_unverified_context())  # noqa: S323


def tls_of(settings: Settings) -> dict[str, Any]:
    """How uvicorn speaks TLS, empty for not at all. Raises Invalid for a certificate or key that cannot be used."""
    if not settings.tls_cert:
        return {}
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            settings.tls_cert, settings.tls_key
        )
    except (OSError, ssl.SSLError) as error:
        raise Invalid(f"The certificate and key for TLS cannot be used: {error}") from None
    return {
        "ssl_certfile": settings.tls_cert,
        "ssl_keyfile": settings.tls_key,
        "ssl_context_factory": lambda _, made: _modern(made()),
    }


def _modern(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def serve_web(settings: Settings, listener: socket.socket) -> None:
    """One web process, until SIGTERM; then it finishes the requests it has."""
    import uvicorn

    from commonchart import app
    from commonchart.cli.wire import Wire

    logs.configure(settings.log_level, process=WEB)
    application = app.build(settings, database_of(settings, POOL), now)
    config = uvicorn.Config(
        logs.AccessLog(application),
        loop="uvloop",
        http=Wire,
        lifespan="auto",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        **tls_of(settings),
    )
    settle()
    uvicorn.Server(config).run(sockets=[listener])


def settle() -> None:
    """What is loaded by now stays: the collector need not look at it again, nor so often at what requests leave."""
    r4()
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def work(settings: Settings) -> None:
    """The worker process, until SIGTERM."""
    import uvloop

    logs.configure(settings.log_level, process="worker")
    uvloop.run(_work(settings))


async def _work(settings: Settings) -> None:
    from commonchart.jobs import worker

    database = database_of(settings, 4)
    site = worker.Site(settings.data_dir, settings.secret, settings.address)
    running = asyncio.ensure_future(worker.run(database, clock=now, site=site))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await database.close()


async def _prepared(settings: Settings) -> None:
    """Seal what is in the clear, note by which secret this server seals, and make the months of the audit trail."""
    database = database_of(settings, 1)
    try:
        await rotation.begun(database, Keys(settings.secret_file))
        async with database.dedicated(owner=True) as conn:
            await audit_months.ahead(conn, now().date())
    finally:
        await database.close()


def database_of(settings: Settings, size: int) -> Database:
    """The database of a process of the server, with what seals its secrets."""
    return Database.opened_later(
        settings.database_url, size=size, keys=Keys(settings.secret_file), program_url=settings.database_program_url
    )  # fmt: skip


def now() -> datetime:
    """The clock on the wall, in UTC: the only place where it is read."""
    return datetime.now(UTC)
