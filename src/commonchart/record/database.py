"""Connections to PostgreSQL, for one event loop in one process.

A pool of its own rather than psycopg_pool: after an outage that one retries with a delay that doubles, while the
record must answer again as soon as PostgreSQL does; and a stale connection is told from a live one without a round trip.
"""

from __future__ import annotations

import asyncio
import copy
import select
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from commonchart.fhir.outcome import Busy, TooCostly
from commonchart.record.bounds import PROGRAM, ROLE, Bounds
from commonchart.record.connection import BEGIN, BEGIN_SNAPSHOT, COMMIT, ROLLBACK, Asked, Connection
from commonchart.record.sealed import Keys

__all__ = ["Connection", "Database", "raise_refusal"]

STATEMENT_SECONDS = 30
SESSION = "-c TimeZone=UTC -c DateStyle=ISO -c jit=off -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"
AWAY = "The database cannot be reached just now; nothing was stored. Try again in a moment."


class Pool:
    """Connections that are lent and given back, and the places for them."""

    def __init__(self, url: str, session: str, size: int, patience: float, keys: Keys | None) -> None:
        self.url = url
        self.keys = keys
        self._session = session
        self._patience = patience
        self._places = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._closed = False

    def close(self) -> None:
        """Close what is idle; what is still lent out is closed when it comes back."""
        self._closed = True
        while self._idle:
            self._idle.pop().pgconn.finish()

    async def take(self) -> Connection:
        """A connection, which `give_back` must follow."""
        await self._place()
        try:
            conn = self._live() or await _connect(self.url, self._session)
            conn.keys = self.keys
            return conn
        except BaseException as error:
            self._places.release()
            raise_refusal(error)
            raise

    def give_back(self, conn: Connection) -> None:
        """End what `take` began."""
        conn.bounds = None
        if self._closed or conn.worn or conn.pgconn.transaction_status != TransactionStatus.IDLE:
            conn.pgconn.finish()
        else:
            self._idle.append(conn)
        self._places.release()

    async def _place(self) -> None:
        if not self._places.locked():
            await self._places.acquire()
            return
        try:
            async with asyncio.timeout(self._patience):
                await self._places.acquire()
        except TimeoutError:
            raise Busy("Too much is asked of the database at once. Try again in a moment.") from None

    def _live(self) -> Connection | None:
        while self._idle:
            conn = self._idle.pop()
            if not _hung_up(conn):
                return conn
            conn.pgconn.finish()
        return None


class Database:
    """A pool of connections. `connection()` is a transaction; `single()` is for one statement that commits itself.

    They work as ROLE, within `bounds`: the program's own at first (every tenant), narrower after `bound`. Or as the `owner`
    of the tables, which only the months of the audit trail need. `url` is the owner's address, `program_url` that of the
    login which owns nothing; without one the owner's is used for all.
    """

    def __init__(
        self,
        url: str,
        size: int,
        patience: float,
        statement_seconds: int,
        keys: Keys | None = None,
        owner: bool = False,
        program_url: str = "",
    ) -> None:
        self.url = url
        self.bounds: Bounds | None = None if owner else PROGRAM
        self._owned = f"{SESSION} -c statement_timeout={statement_seconds}s"
        self._session = self._owned if owner else f"{self._owned} -c role={ROLE}"
        self.pool = Pool(url if owner else program_url or url, self._session, size, patience, keys)

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        size: int = 8,
        patience: float = 10.0,
        statement_seconds: int = STATEMENT_SECONDS,
        keys: Keys | None = None,
        owner: bool = False,
        program_url: str = "",
    ) -> Database:
        """Connect once, to fail early: raises Busy when the server does not answer.

        `patience` is how many seconds a caller waits for one of the `size` connections before it is refused with Busy;
        `statement_seconds` how long a statement may take, 0 for as long as it likes; `keys` seal the secrets that are kept,
        without them they are kept as they are.
        """
        database = cls(url, size, patience, statement_seconds, keys, owner, program_url)
        async with database.single():
            pass
        return database

    @classmethod
    def opened_later(
        cls,
        url: str,
        *,
        size: int = 8,
        patience: float = 10.0,
        keys: Keys | None = None,
        program_url: str = "",
    ) -> Database:
        """A Database that connects when first used, for a server process that must start while PostgreSQL is away."""
        return cls(url, size, patience, STATEMENT_SECONDS, keys, program_url=program_url)

    def bound(self, bounds: Bounds) -> Database:
        """The same connections, lent within these bounds."""
        narrower = copy.copy(self)
        narrower.bounds = bounds
        return narrower

    @property
    def keys(self) -> Keys | None:
        """What seals the secrets that are kept."""
        return self.pool.keys

    @keys.setter
    def keys(self, keys: Keys | None) -> None:
        self.pool.keys = keys

    @property
    def tenant(self) -> int:
        """The tenant that it is bound to; 0, which is nobody's, for the program's own."""
        return (self.bounds.tenant if self.bounds else None) or 0

    async def close(self) -> None:
        """Close what is idle; what is still lent out is closed when it comes back."""
        self.pool.close()

    def connection(self, *, snapshot: bool = False) -> AbstractAsyncContextManager[Connection]:
        """A connection in a transaction: committed at the end, rolled back when the block raises.

        `snapshot`: it only reads, and all as of one moment. Raises Busy when PostgreSQL is away, full or restarting, TooCostly when a statement takes too long.
        """
        return _Lent(self, BEGIN_SNAPSHOT if snapshot else BEGIN)

    def single(self) -> AbstractAsyncContextManager[Connection]:
        """A connection in autocommit mode: each statement is its own transaction, without BEGIN and COMMIT round trips."""
        return _Lent(self, None)

    @asynccontextmanager
    async def dedicated(self, *, owner: bool = False) -> AsyncIterator[Connection]:
        """A fresh autocommit connection outside the pool and without a statement time-out: for LISTEN and long work.

        As the `owner` of the tables for what only that one may do.
        """
        try:
            conn = await (
                _connect(self.url, self._owned) if owner else _connect(self.pool.url, self._session)
            )
            conn.keys = self.keys
            async with conn:
                await conn.set_autocommit(True)
                await conn.execute("SET statement_timeout = 0")
                conn.bounds = None if owner else self.bounds
                yield conn
        except psycopg.Error as error:
            raise_refusal(error)
            raise


class _Lent:
    """A loan from the pool. A class, not a generator: it is on the path of every read."""

    __slots__ = ("_begin", "_bounds", "_conn", "_pool")
    _conn: Connection

    def __init__(self, database: Database, begin: Asked | None) -> None:
        self._pool = database.pool
        self._bounds = database.bounds
        self._begin = begin

    async def __aenter__(self) -> Connection:
        self._conn = conn = await self._pool.take()
        conn.bounds = self._bounds
        conn.begin = self._begin or BEGIN
        if conn.autocommit is not (self._begin is None):
            await conn.set_autocommit(self._begin is None)
        return conn

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        conn = self._conn
        status = conn.pgconn.transaction_status
        try:
            if error is None and status != TransactionStatus.IDLE:
                await conn.together([COMMIT])
            elif status not in (TransactionStatus.IDLE, TransactionStatus.UNKNOWN):
                await conn.together([ROLLBACK])
        except psycopg.Error as late:
            raise_refusal(error or late)
            raise
        finally:
            self._pool.give_back(conn)
        raise_refusal(error)


def raise_refusal(error: BaseException | None) -> None:
    """Raise what an error of psycopg means to the one who asked, if it means anything but a bug."""
    refusal = _refusal(error)
    if refusal is not None:
        raise refusal from error


def _refusal(error: BaseException | None) -> Busy | TooCostly | None:
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


async def _connect(url: str, session: str) -> Connection:
    return await Connection.connect(url, options=session, connect_timeout=5, application_name="commonchart")


def _hung_up(conn: Connection) -> bool:
    """An idle connection has nothing to read, unless the server has closed it (or is about to say so)."""
    if conn.closed:
        return True
    poll = select.poll()
    poll.register(conn.pgconn.socket, select.POLLIN)
    return bool(poll.poll(0))
