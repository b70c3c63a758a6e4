"""Connections to PostgreSQL, for one event loop in one process.

A pool of its own rather than psycopg_pool: after an outage that one retries with a delay that doubles, while the
record must answer again as soon as PostgreSQL does; and a stale connection is told from a live one without a round trip.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection, errors
from psycopg.pq import TransactionStatus

from commonchart.fhir.outcome import Busy, TooCostly

Connection = AsyncConnection[tuple[Any, ...]]

STATEMENT_SECONDS = 30
SESSION = (
    "-c TimeZone=UTC -c DateStyle=ISO -c jit=off "
    f"-c statement_timeout={STATEMENT_SECONDS}s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"
)
AWAY = "The database cannot be reached just now; nothing was stored. Try again in a moment."


class Database:
    """A pool of connections. `connection()` is a transaction; `single()` is for one statement that commits itself."""

    def __init__(self, url: str, size: int, patience: float) -> None:
        self.url = url
        self._patience = patience
        self._places = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._closed = False

    @classmethod
    async def open(cls, url: str, *, size: int = 8, patience: float = 10.0) -> Database:
        """Connect once, to fail early: raises Busy when the server does not answer.

        `patience` is how many seconds a caller waits for one of the `size` connections before it is refused with Busy.
        """
        database = cls(url, size, patience)
        async with database.single():
            pass
        return database

    @classmethod
    def opened_later(cls, url: str, *, size: int = 8, patience: float = 10.0) -> Database:
        """A Database that connects when first used, for a server process that must start while PostgreSQL is away."""
        return cls(url, size, patience)

    async def close(self) -> None:
        """Close what is idle; what is still lent out is closed when it comes back."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection in a transaction: committed at the end, rolled back when the block raises.

        Raises Busy when PostgreSQL is away, full or restarting, TooCostly when a statement takes too long.
        """
        async with self._lent() as conn:
            try:
                yield conn
            except BaseException:
                await _rolled_back(conn)
                raise
            if conn.info.transaction_status != TransactionStatus.IDLE:
                await conn.commit()

    @asynccontextmanager
    async def single(self) -> AsyncIterator[Connection]:
        """A connection in autocommit mode: each statement is its own transaction, without BEGIN and COMMIT round trips."""
        async with self._lent() as conn:
            await conn.set_autocommit(True)
            try:
                yield conn
            finally:
                await _manual(conn)

    @asynccontextmanager
    async def dedicated(self) -> AsyncIterator[Connection]:
        """A fresh autocommit connection outside the pool and without a statement time-out: for LISTEN and long work."""
        with _translated():
            conn = await _connect(self.url)
            try:
                await conn.set_autocommit(True)
                await conn.execute("SET statement_timeout = 0")
                yield conn
            finally:
                await conn.close()

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Connection]:
        try:
            async with asyncio.timeout(self._patience):
                await self._places.acquire()
        except TimeoutError:
            raise Busy("Too much is asked of the database at once. Try again in a moment.") from None
        try:
            with _translated():
                conn = self._fresh() or await _connect(self.url)
                try:
                    yield conn
                finally:
                    await self._returned(conn)
        finally:
            self._places.release()

    def _fresh(self) -> Connection | None:
        while self._idle:
            conn = self._idle.pop()
            if not _hung_up(conn):
                return conn
            conn.pgconn.finish()
        return None

    async def _returned(self, conn: Connection) -> None:
        if self._closed or conn.closed or conn.info.transaction_status != TransactionStatus.IDLE:
            await conn.close()
        else:
            self._idle.append(conn)


class _translated:
    """What PostgreSQL being away, full or too slow means to the one who asked; other errors pass as they are."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, psycopg.Error):
            refusal = _refusal(error)
            if refusal is not None:
                raise refusal from error


def _refusal(error: psycopg.Error) -> Busy | TooCostly | None:
    if isinstance(error, errors.QueryCanceled):
        return TooCostly(
            "This took longer than the server allows. Ask for less at a time.", code="too-costly"
        )
    if isinstance(error, errors.DiskFull):
        return Busy(
            "The disk of the database is full; nothing was stored. Tell whoever looks after this server."
        )
    if isinstance(error, errors.SerializationFailure | errors.DeadlockDetected | errors.LockNotAvailable):
        return Busy("Somebody else was changing the same thing; nothing was stored. Try again.")
    if isinstance(error, psycopg.OperationalError):
        return Busy(AWAY)
    if isinstance(error, psycopg.InterfaceError) and "clos" in str(error):
        return Busy(AWAY)
    return None


async def _connect(url: str) -> Connection:
    return await AsyncConnection.connect(
        url, options=SESSION, connect_timeout=5, application_name="commonchart"
    )


def _hung_up(conn: Connection) -> bool:
    """An idle connection has nothing to read, unless the server has closed it (or is about to say so)."""
    if conn.closed:
        return True
    poll = select.poll()
    poll.register(conn.pgconn.socket, select.POLLIN)
    return bool(poll.poll(0))


async def _rolled_back(conn: Connection) -> None:
    try:
        await conn.rollback()
    except psycopg.Error:
        await conn.close()


async def _manual(conn: Connection) -> None:
    try:
        await conn.set_autocommit(False)
    except psycopg.Error:
        await conn.close()
