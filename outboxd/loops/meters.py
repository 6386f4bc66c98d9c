"""Figures of a worker, counted when the database has accepted what they count and never before."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from outboxd import telemetry
from outboxd.model import Claimed
from outboxd.store.jobs import Settled

if TYPE_CHECKING:
    from outboxd.loops.settling import Item

log = structlog.get_logger()


class Meters:
    """Metrics with their labels looked up once a queue: they are told thousands of times a second."""

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}

    def settled(self, items: "Sequence[Item]", news: Sequence[Settled]) -> "Sequence[Item]":
        """Counts what was accepted now, says what was not, and returns the former."""
        said = {(told.lease_id, told.job_id): told for told in news}
        accepted = []
        for item in items:
            told = said.get((item.claimed.lease_id, item.claimed.job_id))
            if told is None or told.note is None:
                self._count(item)
                accepted.append(item)
            if told is not None:
                _tell(item, told)
        return accepted

    def _count(self, item: "Item") -> None:
        claimed = item.claimed
        meter = self._queues.get(claimed.queue)
        if meter is None:
            if len(self._queues) > _MOST_QUEUES:
                self._queues.clear()
            meter = self._queues[claimed.queue] = _Queue(claimed)
        meter.count(item)


def _tell(item: "Item", told: Settled) -> None:
    """One line for each outcome that is not simply a completion."""
    about = log.bind(job=str(told.job_id), queue=item.claimed.queue, handler=item.claimed.handler, ms=item.ms)
    if not told.accepted:
        telemetry.SETTLE_REFUSED_TOTAL.inc()
        about.warning("lease lost", note=told.note)
    elif told.state == "failed":
        about.warning("job failed", outcome=item.outcome, attempt=item.claimed.attempt)
    elif told.note is None:
        about.info("job waits", outcome=item.outcome, attempt=item.claimed.attempt, due=told.due_at)


_MOST_QUEUES = 1000
"""Endpoints have a queue each; then the labels are looked up again."""


class _Queue:
    def __init__(self, claimed: Claimed) -> None:
        self._labels = (
            telemetry.queue_label(claimed.queue, claimed.handler),
            telemetry.handler_label(claimed.handler),
        )
        self._wait = telemetry.JOB_WAIT_SECONDS.labels(self._labels[0])
        self._run = telemetry.JOB_RUN_SECONDS.labels(*self._labels)
        self._ended = {
            outcome: telemetry.JOBS_TOTAL.labels(*self._labels, outcome)
            for outcome in ("completed", "failed", "timed_out", "snoozed", "cancelled")
        }

    def count(self, item: "Item") -> None:
        claimed = item.claimed
        self._wait.observe(max(0.0, _claimed_at(claimed.lease_id) - claimed.run_at.timestamp()))
        self._run.observe(item.ms / 1000)
        self._ended[item.outcome].inc()


def _claimed_at(lease: UUID) -> float:
    """A lease's id is a UUIDv7: its first 48 bits are when it was made, by the database's clock."""
    return (lease.int >> 80) / 1000
