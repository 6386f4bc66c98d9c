"""Figures of a worker, counted when the database has accepted what they count and never before."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
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
        accepted = items if not said else [item for item in items if not _heard(item, said)]
        if logging.getLogger().isEnabledFor(logging.DEBUG):
            # Thousands a second: at the usual level only what is not simply a completion has a line.
            for item in accepted:
                if item.outcome == "completed":
                    _about(item).debug("job completed", attempt=item.claimed.attempt)
        of_queue: dict[str, list[Item]] = {}
        for item in accepted:
            of_queue.setdefault(item.claimed.queue, []).append(item)
        for queue, ended in of_queue.items():
            self._meter(queue, ended[0].claimed).count(ended)
            if ended[0].claimed.handler in _GENERATING:
                _generated(ended)
        return accepted

    def _meter(self, queue: str, claimed: Claimed) -> "_Queue":
        meter = self._queues.get(queue)
        if meter is None:
            if len(self._queues) > _MOST_QUEUES:
                self._queues.clear()
            meter = self._queues[queue] = _Queue(claimed)
        return meter


def _heard(item: "Item", said: Mapping[tuple[UUID, UUID], Settled]) -> bool:
    """Says what is news of it; whether it was refused, or counted before."""
    told = said.get((item.claimed.lease_id, item.claimed.job_id))
    if told is None:
        return False
    _tell(item, told)
    return told.note is not None


def _tell(item: "Item", told: Settled) -> None:
    """One line for each outcome that is not simply a completion."""
    about = _about(item)
    if not told.accepted:
        telemetry.SETTLE_REFUSED_TOTAL.inc()
        about.warning("lease lost", note=told.note)
    elif told.state == "failed":
        about.warning("job failed", outcome=item.outcome, attempt=item.claimed.attempt)
    elif told.note is None:
        about.info("job waits", outcome=item.outcome, attempt=item.claimed.attempt, due=told.due_at)


def _about(item: "Item") -> Any:
    """A logger that says whose it is, and which request it came from."""
    claimed = item.claimed
    return log.bind(
        job=str(claimed.job_id),
        queue=claimed.queue,
        handler=claimed.handler,
        project=str(claimed.project_id),
        requestId=claimed.request_id,
        traceId=None if claimed.traceparent is None else claimed.traceparent[3:35],
        ms=item.ms,
    )


_GENERATING = frozenset({"observe", "summarize"})
_OUTCOMES = frozenset({"observed", "duplicate", "skipped", "empty", "private", "expunged", "summarized"})


class _Output(msgspec.Struct, frozen=True):
    outcome: str = ""


class _End(msgspec.Struct, frozen=True):
    output: _Output | None = None


_end = msgspec.json.Decoder(_End)


def _generated(items: "Sequence[Item]") -> None:
    """What came of completed jobs of generation, as their ends say it."""
    for item in items:
        output = _end.decode(item.json).output
        if item.outcome == "completed" and output is not None and output.outcome in _OUTCOMES:
            telemetry.GENERATION_OUTCOMES_TOTAL.labels(output.outcome).inc()


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

    def count(self, items: "Sequence[Item]") -> None:
        """All at once: one by one, this was a fifth of what a job costs here."""
        claimed_at = {lease: _claimed_at(lease) for lease in {item.claimed.lease_id for item in items}}
        self._wait.observe_all(
            [max(0.0, claimed_at[item.claimed.lease_id] - item.claimed.run_at.timestamp()) for item in items]
        )
        self._run.observe_all([item.ms / 1000 for item in items])
        for outcome, count in Counter([item.outcome for item in items]).items():
            self._ended[outcome].inc(count)


def _claimed_at(lease: UUID) -> float:
    """A lease's id is a UUIDv7: its first 48 bits are when it was made, by the database's clock."""
    return (lease.int >> 80) / 1000
