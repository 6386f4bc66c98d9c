"""What a Python handler is given, and what it may give back."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
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


_TAKEN = tuple(name for name in Job.__struct_fields__ if name not in {"id", "payload"})
_taken = attrgetter(*_TAKEN)


def job_of(claimed: Claimed, payload: Any) -> Job:
    """`payload` stands apart because a large one is fetched after the claim."""
    return Job(id=claimed.job_id, payload=payload, **dict(zip(_TAKEN, _taken(claimed), strict=True)))
