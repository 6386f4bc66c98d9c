"""What a model or a person recorded, and what is answered about it."""

from typing import Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from outboxd.model.raw import Object
from outboxd.model.times import Epoch


class Memory(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    id: UUID
    project_id: UUID
    team_id: UUID
    server_session_id: UUID | None
    kind: str
    content: str
    metadata: Object
    created_at_epoch: Epoch
    updated_at_epoch: Epoch
    platform_source: str | None
    """The session's, else its own."""
    revision: int


class Source(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a generated observation was made from."""

    id: UUID
    source_type: Literal["agent_event", "session_summary"]
    source_id: UUID
    generation_job_id: UUID | None
    created_at_epoch: Epoch


class MemoryInFull(Memory, frozen=True, kw_only=True):
    sources: list[Source]
    """At most 100."""


class EventMemory(Memory, frozen=True, kw_only=True, rename="camel"):
    """An observation of one event."""

    generation_key: str | None
    created_by_job_id: UUID | None
    source: Source


class Hit(Memory, frozen=True, kw_only=True):
    """A memory that a query found."""

    score: float | UnsetType = UNSET
    """0 to 1; this and the next are left out where nothing was asked for."""
    snippet: str | UnsetType = UNSET
    """Plain text of at most 240 characters."""


class MemoryReply(msgspec.Struct, frozen=True, kw_only=True):
    memory: Memory
    duplicate: bool | UnsetType = UNSET
    """It was there already, under its idempotency key."""


class MemoryInFullReply(msgspec.Struct, frozen=True, kw_only=True):
    memory: MemoryInFull


class MemoryPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    memories: list[Memory]
    next_cursor: str | None


class EventMemories(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    event_id: UUID
    observations: list[EventMemory]
    next_cursor: str | None


class SearchReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    observations: list[Hit]
    next_cursor: str | None


class ContextReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    observations: list[Hit]
    context: str
    """Contents joined by a blank line, as many as the budget holds; the last cut at a line."""
    tokens_estimated: int
    truncated: bool


class MemoryDeleted(msgspec.Struct, frozen=True, kw_only=True):
    deleted: bool
    id: UUID


class Forgotten(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    dry_run: bool
    matched: int
    deleted: int
    expunged_events: int
    remaining: int
    sample: list[UUID]


class ExpungeCounts(msgspec.Struct, frozen=True, kw_only=True):
    observations: int
    jobs: int


class Expunged(msgspec.Struct, frozen=True, kw_only=True):
    expunged: bool
    id: UUID
    counts: ExpungeCounts


class PurgeCounts(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    observations: int
    agent_events: int
    sessions: int
    jobs: int


class Purged(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    purged: bool
    project_id: UUID
    counts: PurgeCounts
    dry_run: bool | UnsetType = UNSET
    in_progress: bool | UnsetType = UNSET
    """Already invisible to every read; the rest goes on by itself."""
