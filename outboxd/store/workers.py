"""What a worker says about itself: enlist, beat, poll, retire, and whether it sleeps.

The beat runs in a thread of its own with a connection of its own, so it is spoken in both ways.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection, Connection
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from outboxd.db import rows

Conn = AsyncConnection[dict[str, Any]]

_ENLIST = b"select * from outbox.enlist(%s, %s, %s, %s)"
_BEAT = b"select alive, cancelled, db_now from outbox.beat(%s, %s)"
_RETIRE = b"select outbox.retire(%s) as back"
_LOCKED = b"update outbox.workers set incarnation = %s where id = %s and lock_no = %s"
_DRAINING = b"update outbox.workers set draining = true where id = %s"
_KNOWS = b"update outbox.workers set handlers = %s, writes = %s where id = %s"
_SLEEPS = b"""
insert into outbox.idle (handler, worker_id)
select h, %s from unnest(%s::text[]) h
on conflict do nothing
"""
_WAKES = b"delete from outbox.idle where worker_id = %s and handler <> ''"
_OPEN_QUEUE = b"select outbox.open_queue(%s, %s) as id"
_SQL_HANDLERS = b"select name from outbox.handlers where name like 'sql:%' order by name"


class Enlisted(msgspec.Struct, frozen=True, kw_only=True):
    worker_id: UUID
    lock_no: int
    """Second half of the advisory lock's key that says by its life that the process lives."""
    beat_every: timedelta
    dead_after: timedelta


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    alive: bool
    """False: fenced or unknown; drop everything and enlist anew."""
    cancelled: tuple[UUID, ...]
    """Jobs in our hands that somebody cancelled since the last beat."""
    db_now: datetime


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker tells of itself when it enlists."""

    name: str
    handlers: tuple[str, ...] = ()
    queues: tuple[str, ...] | None = None
    """Names, or prefixes with a `*`; None: all."""
    host: str = ""
    pid: int = 0
    version: str = ""
    slots: int = 0
    beat: timedelta = timedelta(seconds=3)
    writes: tuple[str, ...] = ()
    """Handlers whose jobs get a lease row each."""
    open: tuple[str, ...] = ()
    """Handlers that tenants may route to."""


async def enlist(conn: Conn, offer: Offer) -> Enlisted:
    """A new worker's row. Raises Invalid when the name or the beat cannot be."""
    options = {
        "host": offer.host,
        "pid": offer.pid,
        "version": offer.version,
        "slots": offer.slots,
        "beatSeconds": offer.beat.total_seconds(),
        "writes": offer.writes,
        "open": offer.open,
    }
    queues = None if offer.queues is None else list(offer.queues)
    given = [offer.name, list(offer.handlers), queues, Jsonb(options, dumps=msgspec.json.encode)]
    return await rows.one(await conn.execute(_ENLIST, given), Enlisted)


def beat(conn: Connection[Any], worker: UUID, running: int) -> Beat:
    """I live; which of my jobs were cancelled? Said by the beat's own thread."""
    with conn.cursor(row_factory=tuple_row) as cur:
        found = cur.execute(_BEAT, [worker, running]).fetchone()
    alive, cancelled, db_now = found or (False, (), None)
    return Beat(alive=alive, cancelled=tuple(cancelled), db_now=db_now)


def locked(conn: Connection[Any], worker: UUID, lock_no: int, incarnation: str) -> None:
    """The liveness lock was taken on that incarnation of the server, so losing it there means death."""
    conn.execute(_LOCKED, [incarnation, worker, lock_no])


async def knows(conn: Conn, worker: UUID, handlers: Iterable[str], writes: Iterable[str]) -> None:
    """The worker has learned more handlers since it enlisted."""
    await conn.execute(_KNOWS, [list(handlers), list(writes), worker])


async def draining(conn: Conn, worker: UUID) -> None:
    await conn.execute(_DRAINING, [worker])


async def retire(conn: Conn, worker: UUID) -> int:
    """The last word: how many jobs went back unspent. The row goes."""
    return await rows.value(await conn.execute(_RETIRE, [worker]), int)


async def sleeps(conn: Conn, worker: UUID, handlers: Iterable[str]) -> None:
    """Asks producers for hints. Claim once more after it: what was committed before sent none."""
    await conn.execute(_SLEEPS, [worker, list(handlers)])


async def wakes(conn: Conn, worker: UUID) -> None:
    """Busy again: hints would be in vain."""
    await conn.execute(_WAKES, [worker])


async def open_queue(conn: Conn, queue: str, handler: str) -> int:
    """The queue's id, made by its first use. Raises Conflict when it has another handler."""
    return await rows.value(await conn.execute(_OPEN_QUEUE, [queue, handler]), int)


async def sql_handlers(conn: Conn) -> Sequence[str]:
    """Functions that an operator declared as handlers, `sql:schema.function`."""
    return await rows.values(await conn.execute(_SQL_HANDLERS), str)
