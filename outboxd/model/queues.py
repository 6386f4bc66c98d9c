"""Where jobs wait: a queue as its tenants see it, and who works."""

from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from outboxd.model.times import Epoch


class Rate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    per_second: float
    burst: int


class QueueSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is null has no limit."""

    concurrency: int | None
    per_worker: int | None
    lease_size: int
    rate: Rate | None
    attempts: int
    backoff: dict[str, Any]
    timeout_ms: int
    on_dead: Literal["advance", "block"]


class Queue(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Counts are of what the caller sees; they stop at 10,000."""

    name: str
    handler: str
    class_: str = msgspec.field(name="class")
    """What metrics call it."""
    due: int
    later: int
    held: int
    """Of those in `later`, what waits for a reason."""
    running: int
    failed: int
    oldest_due_at_epoch: Epoch | None
    paused: bool
    """Nothing that the caller sees is claimed here."""
    paused_until_epoch: Epoch | None
    paused_reason: str | None
    paused_projects: list[UUID]
    """Projects whose share alone is paused, at most 100."""
    closed_until_epoch: Epoch | None
    settings: QueueSettings


class QueueReply(msgspec.Struct, frozen=True, kw_only=True):
    queue: Queue


class QueuePage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    queues: list[Queue]
    next_cursor: str | None


class Worker(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Who claims jobs. Where it runs is told to operators alone."""

    id: UUID
    name: str
    kind: Literal["daemon", "pull", "sql"]
    version: str | None
    team_id: UUID | None
    project_id: UUID | None
    handlers: list[str]
    queues: list[str] | None
    """Names, or prefixes with a `*`; null: all."""
    state: Literal["alive", "draining", "silent"]
    slots: int
    running: int
    started_at_epoch: Epoch
    beat_at_epoch: Epoch
    host: str | UnsetType | None = UNSET
    pid: int | UnsetType | None = UNSET


class WorkerPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    workers: list[Worker]
    next_cursor: str | None
