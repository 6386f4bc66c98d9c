"""What is owed: four views of a job, its attempts, and a job in the hands of a worker."""

from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Raw, UnsetType

from outboxd.model.times import Epoch

State = Literal["queued", "processing", "completed", "failed", "cancelled"]
Outcome = Literal[
    "completed", "failed", "timed_out", "lost", "released", "snoozed", "cancelled", "retried", "purged"
]
"""What the ledger says; the first four spend an attempt, the last three are not executions."""
Generated = Literal["observed", "duplicate", "skipped", "empty", "private", "expunged", "summarized"]
"""What came of a job of generation that was completed."""
SourceType = Literal["agent_event", "session_summary", "observation_reindex", "direct"]
Transport = Literal["enqueued", "queued_only", "skipped"]


class JobError(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    reason: str
    classification: str
    attempt: int | None = None
    status: int | None = None
    retry_in_ms: int | None = None


class JobDescriptor(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    id: UUID
    status: State
    bullmq_job_id: str
    """Equal to `id`; old readers look for it."""
    source_type: SourceType
    source_id: UUID
    """The event's id, else the session's, else the job's own."""
    transport: Transport
    created_at_epoch: Epoch
    updated_at_epoch: Epoch


class JobWait(JobDescriptor, frozen=True, kw_only=True, rename="camel"):
    attempts: int
    max_attempts: int


class JobEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    id: UUID
    project_id: UUID
    team_id: UUID
    source_type: SourceType
    source_id: UUID
    status: State
    attempts: int
    """Executions of this series."""
    max_attempts: int
    created_at_epoch: Epoch
    completed_at_epoch: Epoch | None
    failed_at_epoch: Epoch | None
    last_error: JobError | None
    payload: Raw | UnsetType = UNSET
    queue: str
    handler: str
    priority: int
    ordering_key: str | None
    run_at_epoch: Epoch
    outcome: Outcome | Generated | None
    """How it ended, of generation that was completed what came of it; null till then."""
    event_count: int
    held_reason: str | None
    retried_count: int
    """How often somebody started it over: the series."""
    request_id: str | None


class JobFull(JobEntry, frozen=True, kw_only=True, rename="camel"):
    agent_event_id: UUID | None
    server_session_id: UUID | None
    job_type: str
    bullmq_job_id: str
    next_attempt_at_epoch: Epoch | None
    """When it is due, while it is queued."""
    cancelled_at_epoch: Epoch | None
    updated_at_epoch: Epoch
    progress: Raw | None
    output: Raw | None
    deadline_epoch: Epoch
    expires_at_epoch: Epoch | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    attempt: int
    series: int
    lease_id: UUID | None
    worker_id: UUID | None
    started_at_epoch: Epoch
    ended_at_epoch: Epoch | None
    outcome: Outcome | Literal["running"]
    class_: str | None = msgspec.field(name="class")
    status: int | None
    message: str | None
    retry_at_epoch: Epoch | None
    duration_ms: int | None
    delivery: Raw | UnsetType = UNSET
    """What the webhook's target answered."""


class JobReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    generation_job: JobFull
    """Of whatever handler: the name is what older clients read."""


class JobRetried(JobReply, frozen=True, kw_only=True, rename="camel"):
    retried_count: int
    already_queued: bool
    request_id: str


class JobCancelled(JobReply, frozen=True, kw_only=True, rename="camel"):
    already_cancelled: bool
    request_id: str


class JobPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    jobs: list[JobEntry]
    total: int
    total_exact: Literal[False] | UnsetType = UNSET
    """Left out while `total` is counted; above 10,000 it is estimated."""
    limit: int
    offset: int
    next_cursor: str | None
    request_id: str | UnsetType = UNSET


class AttemptPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    job_id: UUID
    attempts: list[Attempt]
    next_cursor: str | None


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """A job in the hands of a worker: `outbox.claimed`, field by field, made from its row thousands of
    times a second."""

    lease_id: UUID
    """The fence: every later word about the job must name it."""
    job_id: UUID
    no: int
    """Counts everything that ever happened to the job; never restarts."""
    attempt: int
    """1… of this series."""
    max_attempts: int
    series: int
    queue: str
    handler: str
    lane: int
    """> 0: the project's share; < 0: a lane of one ordering key."""
    priority: int
    run_at: datetime
    team_id: UUID
    project_id: UUID
    event_id: UUID | None
    type: str | None
    payload: Any
    """None when it is over 64 KiB: fetched when the job starts."""
    payload_bytes: int
    ordering_key: str | None
    timeout: timedelta
    deadline: datetime
    expires_at: datetime | None
    checkpoint: Any
    key_id: UUID | None
    actor: str | None
    request_id: str | None
    traceparent: str | None
    watched: bool
    """Somebody waits for its end."""
    queue_id: int
    hops: int
    """How many deliveries of ours led to this event."""
