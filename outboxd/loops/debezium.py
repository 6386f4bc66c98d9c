"""Rows of `outbox.outboxevent` become events, for applications that wrote for a log-based reader before.

    insert into outbox.outboxevent … commit ──▶ every 200 ms, one process at a time, in one transaction:
                                                ≤ 500 rows in order of n ─▶ ingest ─▶ delete

There is no trigger and no hint: an application pays for its insert and nothing else, and waits up to a
poll. Weakness: a row whose transaction is open while later ones commit comes after them.
"""

from datetime import timedelta

import structlog

from outboxd import telemetry
from outboxd.db.faults import MissingPartition
from outboxd.db.pool import Database
from outboxd.loops.wakes import Wakes
from outboxd.store import outboxevents, partitions
from outboxd.store.outboxevents import Drained

log = structlog.get_logger()

_PATIENCE = timedelta(seconds=30)
_LOCK = timedelta(milliseconds=500)
"""For a key that a producer holds right now; its row waits for the next run."""


class Debezium:
    """`once()` is the body of a chore."""

    def __init__(self, db: Database, wakes: Wakes) -> None:
        self._db = db
        self._wakes = wakes

    async def once(self) -> int:
        """How many rows it dealt with."""
        try:
            async with self._db.transaction(_PATIENCE, lock_timeout=_LOCK) as conn:
                drained = await outboxevents.drain(conn)
        except MissingPartition:
            async with self._db.transaction(_PATIENCE) as conn:
                await partitions.make_partitions(conn)
            raise
        self._tell(drained)
        return sum(each.status != 0 for each in drained)

    def _tell(self, drained: list[Drained]) -> None:
        """After COMMIT: wakes whoever has to do with it, and counts."""
        stored = [each for each in drained if each.status == 201]
        refused = [each for each in drained if each.status >= 400]
        telemetry.INGEST_EVENTS_TOTAL.labels("debezium", "accepted").inc(len(stored))
        if refused:
            telemetry.INGEST_EVENTS_TOTAL.labels("debezium", "refused").inc(len(refused))
            telemetry.INGEST_DEBEZIUM_REFUSED_TOTAL.inc(len(refused))
            log.warning("rows of outboxevent refused", rows=len(refused), first=refused[0].n)
        if stored:
            queues = {job.queue: job.handler for each in stored for job in each.made if job.due}
            self._wakes.committed(queues, {each.project_id for each in stored if each.project_id})
