"""The table `outboxevent`, that applications of log-based readers write into."""

from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw
from psycopg import AsyncConnection

from outboxd.db import rows
from outboxd.store.ingest import MadeJob

Conn = AsyncConnection[dict[str, Any]]

MOST = 500
"""Rows of one run."""
_JOBS = msgspec.json.Decoder(tuple[MadeJob, ...])
_DRAIN = b"select n, status, project_id, jobs from outbox.drain_outboxevents(%s)"


class Drained(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one row."""

    n: int
    status: int
    """201, a refusal 4xx, or 0: it is left for the next run."""
    project_id: UUID | None
    """Of those that were not refused for themselves."""
    jobs: Raw

    @property
    def made(self) -> tuple[MadeJob, ...]:
        return _JOBS.decode(self.jobs)


async def drain(conn: Conn, limit: int = MOST) -> list[Drained]:
    """Makes events of the next rows; none, while somebody else is at it. Raises MissingPartition."""
    return await rows.many(await conn.execute(_DRAIN, [limit]), Drained)
