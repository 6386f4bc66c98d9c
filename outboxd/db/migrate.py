"""Bringing a database to this release's schema, and knowing whether it is there.

    poll for the lock ─▶ compare files with outbox.migrations ─▶ run the batches ─▶ let go

Everything new runs in one transaction; a `-- no transaction` file stands alone between two of them.
The lock is an advisory one, polled and never waited for: a waiter's statement would hold a snapshot,
and `create index concurrently` in the holder waits for every snapshot. Killed at any point it leaves
either nothing or whole batches, and the next run goes on from there. Several may start at once.

Migrations go forward only and are never edited. A database that is newer is left as it is: its
functions belong to its release; only a `breaking` migration that we do not know makes us refuse.
Weakness: whoever upgrades by hand with `print_sql` must run the whole text.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import msgspec
import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from outboxd import __version__
from outboxd.db import faults, link, locks, plan, scripts
from outboxd.errors import DatabaseUnavailable, SchemaError

log = structlog.get_logger()

_POLL = 0.1
_WAIT = timedelta(minutes=1)
_PATIENCE_S = 10
"""With a server that takes a connection and says nothing; else it would be waited for without end."""
_BUSY = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)
_RIGHTS = (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedObject)

Conn = AsyncConnection[TupleRow]


# So that producers in SQL can publish before the first daemon has booted.
_PARTITIONS = b"""
do $$ begin
  if to_regprocedure('outbox.make_partitions(integer)') is not null then
    perform outbox.make_partitions();
  end if;
end $$
"""


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has done."""

    migrations: tuple[str, ...]
    refreshed: bool
    """Whether functions and views were re-created."""
    for_admin: tuple[str, ...]
    """Statements we had no right for: an administrator should run them."""


async def migrate(
    dsn: str, *, root: Path | None = None, version: str = __version__, wait: timedelta = _WAIT
) -> Applied:
    """Applies what is pending. `dsn` must be a direct connection of the role that owns the schema.

    Raises DatabaseUnavailable when the database, or the lock another run holds, is not to be had
    within `wait`; SchemaError when a file was edited or fails, or the database is newer and breaking.
    """
    tree = scripts.read(root or scripts.here())
    deadline = time.monotonic() + wait.total_seconds()
    async with _direct(dsn, deadline) as conn:
        await _notice_our_death(conn)
        if not await locks.take(conn, locks.MIGRATION, timedelta(seconds=deadline - time.monotonic())):
            raise DatabaseUnavailable("another migration is running")
        while True:
            try:
                return await _apply(conn, tree, version)
            except _BUSY as busy:
                if time.monotonic() > deadline:
                    raise faults.of(busy) from busy
                log.info("migration waits for a lock", state=busy.sqlstate)
                await asyncio.sleep(_POLL)


async def check(dsn: str, *, root: Path | None = None, version: str = __version__) -> plan.State:
    """What is pending; nothing when the schema is current, or newer in a way that we can live with.

    Raises SchemaError when it is not, DatabaseUnavailable when it cannot be asked.
    """
    tree = scripts.read(root or scripts.here())
    async with _direct(dsn, time.monotonic()) as conn:
        return plan.compare(tree, await _recorded(conn), version)


async def print_sql(
    dsn: str | None, *, root: Path | None = None, version: str = __version__, owner: str | None = None
) -> str:
    """The same as text for psql, to be run by a DBA as `owner`; without a DSN for an empty database."""
    tree = scripts.read(root or scripts.here())
    recorded: tuple[plan.Record, ...] = ()
    if dsn is not None:
        async with _direct(dsn, time.monotonic()) as conn:
            recorded = await _recorded(conn)
    state = plan.compare(tree, recorded, version)
    return plan.as_text(plan.batches(tree, recorded, state, version), owner)


async def _apply(conn: Conn, tree: scripts.Tree, version: str) -> Applied:
    recorded = await _recorded(conn)
    state = plan.compare(tree, recorded, version)
    refused: list[str] = []
    for batch in plan.batches(tree, recorded, state, version):
        refused += await _run(conn, batch)
    await conn.execute(_PARTITIONS, prepare=False)
    for path in state.pending:
        log.info("applied", script=path)
    return Applied(migrations=state.migrations, refreshed=state.refresh, for_admin=tuple(refused))


async def _run(conn: Conn, batch: plan.Batch) -> list[str]:
    """One batch, whole or not at all if it is a transaction. Returns the grants that were refused."""
    if batch.alone:
        for part in batch.parts:
            for statement in scripts.statements(part.sql):
                await _execute(conn, statement, part.path)
        return []
    refused: list[str] = []
    async with conn.transaction():
        for part in batch.parts:
            if part.rights:
                refused += await _grant(conn, part)
            else:
                await _execute(conn, part.sql, part.path)
    return refused


async def _grant(conn: Conn, part: plan.Part) -> list[str]:
    refused = []
    for statement in scripts.statements(part.sql):
        try:
            async with conn.transaction():
                await conn.execute(statement, prepare=False)
        except _RIGHTS as failed:
            log.warning("not allowed to set a right", sqlstate=failed.sqlstate)
            refused.append(statement.decode())
    return refused


async def _execute(conn: Conn, sql: bytes, path: str) -> None:
    try:
        await conn.execute(sql, prepare=False)
    except _BUSY:
        raise
    except psycopg.Error as failed:
        if failed.sqlstate is None or isinstance(error := faults.of(failed), DatabaseUnavailable):
            raise
        raise SchemaError(f"{path} failed: {failed.diag.message_primary}") from error


@asynccontextmanager
async def _direct(dsn: str, deadline: float) -> AsyncIterator[Conn]:
    """A connection of our own; connecting is tried until the deadline, once at least."""
    conn = await _connect(dsn, deadline)
    try:
        with faults.translated():
            yield conn
    finally:
        await conn.close()


async def _connect(dsn: str, deadline: float) -> Conn:
    while True:
        left = round(deadline - time.monotonic())
        try:
            patient = link.patient(dsn, min(max(2, left), _PATIENCE_S) if left > 0 else _PATIENCE_S)
            return await AsyncConnection.connect(patient, autocommit=True, prepare_threshold=None)
        except psycopg.OperationalError as failed:
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(f"the database cannot be reached: {link.words(failed)}") from failed
        await asyncio.sleep(_POLL)


async def _notice_our_death(conn: Conn) -> None:
    """Else the server would finish the statement of a killed migration, and keep its lock until then."""
    with suppress(psycopg.errors.InvalidParameterValue):  # not on every platform
        await conn.execute("set client_connection_check_interval = '1s'")


async def _recorded(conn: Conn) -> tuple[plan.Record, ...]:
    cur = await conn.execute("select to_regclass('outbox.migrations') is not null")
    if (await cur.fetchone()) != (True,):
        return ()
    cur = await conn.execute("select path, checksum, kind from outbox.migrations")
    return tuple(plan.Record(path=p, checksum=c, kind=k) for p, c, k in await cur.fetchall())
