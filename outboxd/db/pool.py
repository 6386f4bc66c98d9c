"""The database as the rest of us sees it: transactions and connections, and errors of ours.

    getconn ─▶ begin + timeouts, one round trip ─▶ body ─▶ commit ─▶ putconn
                 │ fails: the connection was dead      │ raises: rollback
                 └─ the next one                       └─ COMMIT sent, no answer: CommitUnknown

The first statement proves the connection, so no extra round trip does. Where that may not be repeated, an
empty query does, unless the connection answered a moment ago and its socket has said nothing since: a
server that ends a connection says so. A connection that was cut
for silence makes the idle ones suspect too, and they are replaced. Nothing is set in a session:
everything here works through a transaction pooler. Weakness: a server that hangs costs each
statement its timeout and a second, since only then silence is proof.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Literal, Self, TypeVar

import psycopg
import structlog
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from outboxd import telemetry
from outboxd.db import faults
from outboxd.db.link import Link, configure, reachable
from outboxd.errors import Broken, DatabaseUnavailable

log = structlog.get_logger()

T = TypeVar("T")
Prepare = Literal["on", "off", "auto"]

_GRACE = timedelta(seconds=1)
_AFTER = 5  # uses of a statement before it is prepared, psycopg's own measure
_TIMES = 3
_FRESH = 30.0
_MS = timedelta(milliseconds=1)
_POOLED = (psycopg.errors.DuplicatePreparedStatement, psycopg.errors.InvalidSqlStatementName)


class Database:
    """Made by `Database.open`. Safe to share by every task of one event loop."""

    def __init__(
        self,
        pool: AsyncConnectionPool[Link],
        *,
        net_timeout: timedelta,
        statement_timeout: timedelta,
        prepare: Prepare,
    ) -> None:
        self._pool = pool
        self._net_timeout = net_timeout
        self._statement_timeout = statement_timeout
        self._prepare = prepare
        self._suspicious = False

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        dsn: str,
        *,
        pool_min: int = 2,
        pool_max: int = 10,
        pool_timeout: timedelta = timedelta(seconds=2),
        net_timeout: timedelta = timedelta(seconds=10),
        statement_timeout: timedelta = timedelta(seconds=10),
        prepare: Prepare = "auto",
        application: str = "outboxd",
    ) -> AsyncIterator[Self]:
        """Opens at once, whether the server is there or not; who asks meanwhile gets the error."""
        pool = AsyncConnectionPool(
            reachable(dsn, net_timeout, application),
            connection_class=Link,
            kwargs={"autocommit": True, "row_factory": dict_row},
            min_size=pool_min,
            max_size=pool_max,
            timeout=pool_timeout.total_seconds(),
            # The pool would double its pauses up to minutes. Given up early, each request asks anew.
            reconnect_timeout=pool_timeout.total_seconds(),
            configure=configure,
            open=False,
        )
        made = cls(pool, net_timeout=net_timeout, statement_timeout=statement_timeout, prepare=prepare)
        async with pool:
            yield made

    @asynccontextmanager
    async def transaction(
        self,
        timeout: timedelta | None = None,
        *,
        lock_timeout: timedelta | None = None,
        idle_timeout: timedelta | None = None,
    ) -> AsyncIterator[Link]:
        """READ COMMITTED, committed at the end of the block, rolled back when it raises.

        `timeout` bounds each statement (the pool's, when not given), `lock_timeout` each wait for a
        lock, `idle_timeout` each pause between statements. Raises `faults`' errors, and CommitUnknown
        when the connection was lost after COMMIT was sent.
        """
        limit = timeout or self._statement_timeout
        with self._seam():
            conn = await self._checkout(_begin(limit, lock_timeout, idle_timeout))
            try:
                conn.silence = limit + _GRACE
                async with _ending(conn):
                    yield conn
            finally:
                await self._pool.putconn(conn)

    @asynccontextmanager
    async def connection(self, timeout: timedelta | None = None) -> AsyncIterator[Link]:
        """Autocommit: one statement is one transaction. `timeout` is when a silent server is given up."""
        with self._seam():
            conn = await self._checkout(b"")
            try:
                conn.silence = (timeout or self._statement_timeout) + _GRACE
                yield conn
            finally:
                await self._pool.putconn(conn)

    async def run(self, body: Callable[[Link], Awaitable[T]], timeout: timedelta | None = None) -> T:
        """`body` in a transaction, repeated when it lost against another one, three times at most."""
        for _ in range(_TIMES - 1):
            try:
                async with self.transaction(timeout) as conn:
                    return await body(conn)
            except faults.Contention:
                log.debug("transaction repeated")
        async with self.transaction(timeout) as conn:
            return await body(conn)

    def stats(self) -> dict[str, int]:
        """psycopg_pool's figures: pool_size, pool_available, requests_waiting, connections_lost, …"""
        return self._pool.get_stats()

    async def _checkout(self, hello: bytes) -> Link:
        """A connection that has answered `hello`. Dead ones are thrown away, each once at most."""
        for _ in range(self._pool.max_size + 1):
            if self._suspicious:
                self._suspicious = False
                await self._pool.drain()
            asked = time.perf_counter()
            try:
                conn = await self._pool.getconn()
            finally:
                telemetry.DB_POOL_WAIT_SECONDS.observe(time.perf_counter() - asked)
            self._settle_in(conn)
            if not hello and conn.proven(_FRESH):
                return conn
            try:
                await conn.execute(hello, prepare=False)
            except psycopg.OperationalError:
                alive = not conn.closed
                await self._pool.putconn(conn)
                if alive:
                    raise
            except BaseException:
                await self._pool.putconn(conn)
                raise
            else:
                return conn
        raise DatabaseUnavailable("every connection to the database was lost")

    def _settle_in(self, conn: Link) -> None:
        conn.silence = self._net_timeout
        conn.on_cut = self._suspect_all
        conn.prepare_threshold = None if self._prepare == "off" else _AFTER

    def _suspect_all(self) -> None:
        """What swallowed one connection has swallowed the idle ones: the next checkout replaces them."""
        self._suspicious = True

    @contextmanager
    def _seam(self) -> Iterator[None]:
        try:
            yield
        except _POOLED as failed:
            if self._prepare == "auto":
                self._prepare = "off"
                log.warning("prepared statements do not work here, a pooler is between us", prepare="off")
            raise DatabaseUnavailable("a prepared statement was not where we left it") from failed
        except psycopg.Error as failed:
            raise faults.of(failed) from failed


def _begin(limit: timedelta, lock: timedelta | None, idle: timedelta | None) -> bytes:
    """One message, one round trip. `set local`, so that nothing outlives the transaction."""
    timeouts = {
        "statement_timeout": limit,
        "lock_timeout": lock,
        "idle_in_transaction_session_timeout": idle,
    }
    said = [f"set local {name} = {round(of / _MS)}" for name, of in timeouts.items() if of is not None]
    return "; ".join(["begin isolation level read committed", *said]).encode()


@asynccontextmanager
async def _ending(conn: Link) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        await _rollback(conn)
        raise
    await _commit(conn)


async def _commit(conn: Link) -> None:
    if conn.info.transaction_status == TransactionStatus.INERROR:
        await _rollback(conn)
        raise Broken("a transaction went on after one of its statements had failed")
    if conn.closed:
        raise DatabaseUnavailable("the connection to the database was lost before the commit")
    try:
        await conn.execute(b"commit", prepare=False)
    except psycopg.Error as failed:
        if conn.closed:
            raise faults.CommitUnknown("the connection was lost while committing") from failed
        raise


async def _rollback(conn: Link) -> None:
    """A connection that cannot roll back is thrown away by the pool, and the server does it."""
    if conn.closed:
        return
    try:
        await conn.execute(b"rollback", prepare=False)
    except psycopg.Error:
        log.debug("rollback failed, connection dropped")
