"""A connection of psycopg with a short way for the statements that are run all the time.

A cursor of psycopg costs several times what libpq does, and each of its statements is a round trip of its own. `fetch`
and `together` speak to libpq directly: what is asked together goes out together, and is prepared once it is asked often.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import AsyncConnection, AsyncCursor, AsyncTransaction, InterfaceError, OperationalError, errors
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus

from commonchart.record.bounds import Bounds, setting

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

    from commonchart.record.sealed import Keys

Row = tuple[Any, ...]
Asked = tuple[str, Sequence[Any]]
_Made = tuple[bytes, Sequence[Any], tuple[int, ...], Sequence[Any] | None]

PREPARE_FROM = 4
MOST_KINDS = 500
BEGIN: Asked = ("BEGIN", ())
BEGIN_SNAPSHOT: Asked = ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", ())
COMMIT: Asked = ("COMMIT", ())
ROLLBACK: Asked = ("ROLLBACK", ())

_FAILED = frozenset({ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE})
_SETTLED = frozenset({TransactionStatus.IDLE, TransactionStatus.INTRANS, TransactionStatus.INERROR})


class _Kind:
    """A statement with the types of its arguments: how often it was asked, and under which name it is prepared."""

    __slots__ = ("name", "times")

    def __init__(self) -> None:
        self.times = 0
        self.name: bytes | None = None


class Connection(AsyncConnection[Row]):
    """One connection to PostgreSQL, used by one task at a time.

    `bounds` are set in each transaction as it begins; without them nobody's record can be read.
    """

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.keys: Keys | None = None
        self.bounds: Bounds | None = None
        self.begin = BEGIN
        self._kinds: dict[tuple[bytes, tuple[int, ...]], _Kind] = {}
        self._numbers = count()
        self._values = Transformer(self)

    @property
    def worn(self) -> bool:
        """Whether it has seen so many kinds of statements that a fresh one is better."""
        return len(self._kinds) > MOST_KINDS

    async def fetch(self, sql: str, args: Sequence[Any] = ()) -> list[Row]:
        """The rows of one statement, `%s` where its arguments go. Raises psycopg.Error."""
        return (await self.together([(sql, args)]))[0]

    async def together(self, asked: Sequence[Asked]) -> list[list[Row]]:
        """The rows of each statement, all in one round trip and, unless a transaction is open, all or nothing.

        Raises psycopg.Error, the first that came; what follows it was not run.
        """
        status = self.pgconn.transaction_status
        if status == TransactionStatus.ACTIVE:
            raise InterfaceError("this connection is in use")
        first = self._first() if status == TransactionStatus.IDLE else []
        try:
            results = await self._known([*first, *asked])
        except BaseException:
            if self.pgconn.transaction_status not in _SETTLED:
                self.pgconn.finish()  # nobody would hear the rest of the answer
            raise
        return [self._rows(result) for result in results[len(first) :]]

    def _first(self) -> list[Asked]:
        """What a transaction begins with; in autocommit mode what is sent together is one."""
        begin = [] if self.autocommit else [self.begin]
        return begin if self.bounds is None else [*begin, setting(self.bounds)]

    async def hold(self, bounds: Bounds) -> None:
        """Hold what is left of the open transaction, and those that follow, within these bounds."""
        self.bounds = bounds
        if self.pgconn.transaction_status == TransactionStatus.INTRANS:
            await self.together([setting(bounds)])

    @asynccontextmanager
    async def within(self, bounds: Bounds) -> AsyncIterator[None]:
        """Within other bounds for a while, in the same transaction."""
        before = self.bounds
        await self.hold(bounds)
        try:
            yield
        finally:
            if before is not None:
                await self.hold(before)

    async def begun(self) -> None:
        """Begin the transaction, within the bounds, where none is open: before a cursor of psycopg's own is used."""
        if not self.autocommit and self.pgconn.transaction_status == TransactionStatus.IDLE:
            await self.together([])

    async def execute(self, *given: Any, **options: Any) -> AsyncCursor[Row]:
        """As psycopg's, within the bounds also where each statement is a transaction of its own."""
        if self.bounds is None or self.pgconn.transaction_status != TransactionStatus.IDLE:
            return await super().execute(*given, **options)
        if not self.autocommit:
            await self.begun()
            return await super().execute(*given, **options)
        async with self.transaction():
            return await super().execute(*given, **options)

    @asynccontextmanager
    async def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> AsyncIterator[AsyncTransaction]:
        """As psycopg's, within the bounds."""
        outer = self.pgconn.transaction_status == TransactionStatus.IDLE
        async with super().transaction(savepoint_name, force_rollback) as opened:
            if outer and self.bounds is not None:
                await self.together([setting(self.bounds)])
            yield opened

    async def _known(self, asked: Sequence[Asked]) -> list[PGresult]:
        """The results, also where psycopg made PostgreSQL forget what is prepared (it does after a DROP)."""
        try:
            return await self._exchange(asked)
        except errors.InvalidSqlStatementName:
            self._kinds.clear()
            if self.pgconn.transaction_status != TransactionStatus.IDLE:
                raise
            return await self._exchange(asked)

    async def _exchange(self, asked: Sequence[Asked]) -> list[PGresult]:
        """Send everything, and wait for the result of each."""
        pgconn = self.pgconn
        made = [self._made(sql, args) for sql, args in asked]
        pgconn.enter_pipeline_mode()
        try:
            sent = [self._send(*one) for one in made]
            pgconn.pipeline_sync()
            while pgconn.flush():
                await self._writable()
            results = await self._results()
        finally:
            if pgconn.transaction_status in _SETTLED:
                pgconn.exit_pipeline_mode()
        return self._good(sent, iter(results))

    def _made(self, sql: str, args: Sequence[Any]) -> _Made:
        """One statement as it is sent; raises for arguments that do not fit, before anything has gone out."""
        query, formats = _query(sql, len(args))
        if not args:
            return query, [], (), None
        values = self._values.dump_sequence(args, formats)
        return query, values, tuple(self._values.types or ()), self._values.formats

    def _send(
        self, query: bytes, values: Sequence[Any], types: tuple[int, ...], how: Sequence[Any] | None
    ) -> tuple[_Kind, bytes | None]:
        """Put one statement into what goes out; its kind, and the name that it is prepared under now, if it is."""
        kind = self._kinds.get((query, types))
        if kind is None:
            kind = self._kinds[query, types] = _Kind()
        kind.times += 1
        prepared = kind.name
        if prepared is None and kind.times >= PREPARE_FROM:
            prepared = b"commonchart%d" % next(self._numbers)
            self.pgconn.send_prepare(prepared, query, types)
        if prepared is None:
            self.pgconn.send_query_params(query, values, types, how)
            return kind, None
        self.pgconn.send_query_prepared(prepared, values, how)
        return kind, prepared if kind.name is None else None

    async def _results(self) -> list[PGresult]:
        pgconn = self.pgconn
        out: list[PGresult] = []
        while True:
            if pgconn.is_busy():
                await self._answered()
            result = pgconn.get_result()
            if result is None:
                if pgconn.status != ConnStatus.OK:
                    return out
            elif result.status == ExecStatus.PIPELINE_SYNC:
                return out
            else:
                out.append(result)

    async def _answered(self) -> None:
        """Wait until the next result has come in whole."""
        loop, socket = asyncio.get_running_loop(), self.pgconn.socket
        whole: asyncio.Future[None] = loop.create_future()
        loop.add_reader(socket, self._hear, whole)
        try:
            await whole
        finally:
            loop.remove_reader(socket)

    def _hear(self, whole: asyncio.Future[None]) -> None:
        if whole.done():
            return
        try:
            self.pgconn.consume_input()
        except psycopg.Error as error:
            whole.set_exception(error)
        else:
            if not self.pgconn.is_busy():
                whole.set_result(None)

    async def _writable(self) -> None:
        """Wait until more can be sent, hearing meanwhile: PostgreSQL may want to be heard before it reads on."""
        loop, socket = asyncio.get_running_loop(), self.pgconn.socket
        woken: asyncio.Future[None] = loop.create_future()
        loop.add_reader(socket, _wake, woken)
        loop.add_writer(socket, _wake, woken)
        try:
            await woken
        finally:
            loop.remove_reader(socket)
            loop.remove_writer(socket)
        self.pgconn.consume_input()

    def _good(self, sent: Sequence[tuple[_Kind, bytes | None]], results: Any) -> list[PGresult]:
        """The result of each statement, without those of preparing. Raises the first error."""
        out: list[PGresult] = []
        for kind, prepared in sent:
            if prepared is not None:
                self._checked(next(results, None))
                kind.name = prepared
            out.append(self._checked(next(results, None)))
        return out

    def _checked(self, result: PGresult | None) -> PGresult:
        if result is None:
            raise OperationalError("the connection was lost")
        if result.status in _FAILED:
            raise errors.error_from_result(result, self.info.encoding)
        return result

    def _rows(self, result: PGresult) -> list[Row]:
        if result.status != ExecStatus.TUPLES_OK or not result.ntuples:
            return []
        self._values.set_pgresult(result)
        return self._values.load_rows(0, result.ntuples, tuple)


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


@lru_cache(maxsize=2048)
def _query(sql: str, arguments: int) -> tuple[bytes, list[PyFormat]]:
    """The statement as PostgreSQL reads it ($1, $2 ...), and the formats of its arguments."""
    parts = sql.split("%s")
    if len(parts) != arguments + 1:
        raise InterfaceError(f"{arguments} arguments for {len(parts) - 1} places")
    text = "".join(f"${n}{part}" if n else part for n, part in enumerate(parts))
    return text.encode(), [PyFormat.AUTO] * arguments
