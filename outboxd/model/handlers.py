"""What a Python handler is given, and what it may give back."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from outboxd.model.jobs import Claimed

Write = Callable[[Any], Awaitable[None]]
"""Awaited with the connection of the settling transaction; touches nothing else, within 10 s."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A claimed job as a Python handler sees it, payload and checkpoint decoded."""

    id: UUID
    lease_id: UUID
    attempt: int
    max_attempts: int
    series: int
    queue: str
    handler: str
    priority: int
    run_at: datetime
    team_id: UUID
    project_id: UUID
    event_id: UUID | None
    type: str | None
    payload: Any
    ordering_key: str | None
    timeout: timedelta
    deadline: datetime
    expires_at: datetime | None
    checkpoint: Any
    key_id: UUID | None
    actor: str | None
    request_id: str | None
    traceparent: str | None
    hops: int


class Done(msgspec.Struct, frozen=True):
    """The job is completed; `write` and `publish` happen in the transaction that says so."""

    output: Any = None
    """JSON, ≤ 16 KiB."""
    write: Write | None = None
    publish: Sequence[dict[str, Any]] = ()
    """Events in the shape of `POST /v1/events`, ≤ 100, caused by this job's."""


class Snooze(msgspec.Struct, frozen=True):
    """The job waits and comes again; the attempt is given back."""

    delay: timedelta
    reason: str
    write: Write | None = None


def job_of(claimed: Claimed, payload: Any) -> Job:
    """`payload` stands apart because a large one is fetched after the claim. Spelled out: it is called for
    every job, and a loop over the fields costs ten times as much."""
    return Job(
        id=claimed.job_id,
        lease_id=claimed.lease_id,
        attempt=claimed.attempt,
        max_attempts=claimed.max_attempts,
        series=claimed.series,
        queue=claimed.queue,
        handler=claimed.handler,
        priority=claimed.priority,
        run_at=claimed.run_at,
        team_id=claimed.team_id,
        project_id=claimed.project_id,
        event_id=claimed.event_id,
        type=claimed.type,
        payload=payload,
        ordering_key=claimed.ordering_key,
        timeout=claimed.timeout,
        deadline=claimed.deadline,
        expires_at=claimed.expires_at,
        checkpoint=claimed.checkpoint,
        key_id=claimed.key_id,
        actor=claimed.actor,
        request_id=claimed.request_id,
        traceparent=claimed.traceparent,
        hops=claimed.hops,
    )
