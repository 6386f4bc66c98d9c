"""Group commit: what is answered is stored, what is refused is not, and nobody waits for a neighbour."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import Raw
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from outboxd.loops.ingest import Ingest
from outboxd.loops.wakes import Wakes
from outboxd.store.ingest import Incoming
from tests import seed

Conn = AsyncConnection[DictRow]


@asynccontextmanager
async def running(db: Database, **bounds: Any) -> AsyncIterator[Ingest]:
    ingest, stop = Ingest(db, Wakes(), **bounds), asyncio.Event()
    task = asyncio.create_task(ingest.run(stop))
    try:
        yield ingest
    finally:
        stop.set()
        await task


def event(ingest: Ingest, tenant: seed.Tenant, **given: Any) -> Incoming:
    return Incoming(
        id=ingest.mint(),
        project_id=tenant.project,
        key_id=tenant.key_id,
        adapter="api",
        **{"type": "order.paid", "payload": Raw(b'{"n":1}'), **given},
    )


@pytest.mark.proves("I1")
async def test_what_is_answered_is_committed(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "order.*", "q", handler="h")
    async with running(db) as ingest:
        [outcome] = await ingest.publish([event(ingest, tenant)])

        assert outcome.status == 201
        assert {"events": 1, "event_keys": 0, "jobs": 1, "ready": 1, "later": 0, "pending": 1} == (
            await seed.counts(conn)
        )
        assert [("q", "h", True)] == [(job.queue, job.handler, job.due) for job in outcome.jobs]
