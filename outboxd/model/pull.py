"""What a worker elsewhere is told: jobs under a lease, and what became of its results."""

from typing import Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from outboxd.model.events import Event
from outboxd.model.raw import AnyJson
from outboxd.model.times import Epoch


class PulledJob(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    id: UUID
    """The same in every attempt: pass it on as idempotency key."""
    attempt: int
    """1… of this series."""
    max_attempts: int
    queue: str
    handler: str
    priority: int
    event: Event | None
    """What it is made from, without the payload that stands beside it; null for direct jobs."""
    payload: AnyJson
    """Null when it is over 64 KiB: then get `payloadUrl`."""
    payload_url: str | UnsetType = UNSET
    ordering_key: str | None
    timeout_ms: int
    deadline_epoch: Epoch | None
    """No attempt starts after it."""
    request_id: str | None
    traceparent: str | None
    checkpoint: AnyJson | None
    """What an earlier attempt reported."""


class Lease(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    id: UUID
    """The only fence: every later word about these jobs names it."""
    expires_at_epoch: Epoch


class Claim(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    lease: Lease | None
    jobs: list[PulledJob]
    retry_after_ms: int
    """It is of no use to claim again sooner."""
    paused: Literal[True] | UnsetType = UNSET
    """The queue, or the only share that the key sees."""


class ResultTold(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    job_id: str
    accepted: bool
    state: str | None
    due_at_epoch: Epoch | None
    """When it runs again."""
    note: Literal["repeated", "lease_over", "not_in_lease"] | None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    results: list[ResultTold]


class Extended(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    expires_at_epoch: Epoch
    cancelled: list[UUID]
    """Jobs that somebody has cancelled: leave them."""


class Released(msgspec.Struct, frozen=True, kw_only=True):
    released: int
