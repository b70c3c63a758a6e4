"""A connection of psycopg with a short way for the statements that are run all the time.

A cursor of psycopg costs several times what libpq does, and each of its statements is a round trip of its own. `fetch`
and `together` speak to libpq directly: what is asked together goes out together, and is prepared once it is asked often.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import AsyncConnection, InterfaceError, OperationalError, errors
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

    from commonchart.record.sealed import Keys

Row = tuple[Any, ...]
Asked = tuple[str, Sequence[Any]]

PREPARE_FROM = 4
MOST_KINDS = 500
BEGIN: Asked = ("BEGIN", ())
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
    """One connection to PostgreSQL, used by one task at a time."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.keys: Keys | None = None
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
        begins = not self.autocommit and status == TransactionStatus.IDLE
        try:
            results = await self._known([BEGIN, *asked] if begins else asked)
        except BaseException:
            if self.pgconn.transaction_status not in _SETTLED:
                self.pgconn.finish()  # nobody would hear the rest of the answer
            raise
        return [self._rows(result) for result in results[1 if begins else 0 :]]

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
        pgconn.enter_pipeline_mode()
        try:
            sent = [self._send(sql, args) for sql, args in asked]
            pgconn.pipeline_sync()
            while pgconn.flush():
                await self._writable()
            results = await self._results()
        finally:
            if pgconn.transaction_status in _SETTLED:
                pgconn.exit_pipeline_mode()
        return self._good(sent, iter(results))

    def _send(self, sql: str, args: Sequence[Any]) -> tuple[_Kind, bytes | None]:
        """Put one statement into what goes out; its kind, and the name that it is prepared under now, if it is."""
        query, formats = _query(sql, len(args))
        values = self._values.dump_sequence(args, formats) if args else []
        types: tuple[int, ...] = tuple(self._values.types or ()) if args else ()
        how = self._values.formats if args else None
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
