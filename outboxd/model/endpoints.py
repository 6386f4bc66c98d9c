"""Where events are sent."""

from typing import Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Raw, UnsetType

from outboxd.model.times import Epoch


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A webhook target. Secrets are not in it; `headers` are shown as `***`."""

    id: UUID
    team_id: UUID
    project_id: UUID
    uid: str | None
    url: str
    types: tuple[str, ...]
    contains: Raw | None
    excludes: Raw | None
    state: Literal["enabled", "paused", "disabled"]
    disabled_reason: str | None
    ordering: Literal["none", "key", "endpoint"]
    on_dead: Literal["advance", "block"]
    concurrency: int
    rate_per_second: float | None
    burst: int | None
    timeout_ms: int
    retry_schedule: tuple[int, ...]
    """Seconds before attempt 1, 2, …"""
    max_age_seconds: int
    terminal_4xx: bool = msgspec.field(name="terminal4xx")
    disable_after_hours: int
    format: Literal["standard", "ce-structured", "ce-binary"]
    max_body_bytes: int
    signing: Literal["v1", "v1+v1a", "v1a"]
    headers: dict[str, Literal["***"]]
    description: str | None
    metadata: Raw
    created_at_epoch: Epoch
    updated_at_epoch: Epoch
    revision: int
    health: Raw | UnsetType = UNSET


class EndpointReply(msgspec.Struct, frozen=True, kw_only=True):
    endpoint: Endpoint | None


class EndpointMade(EndpointReply, frozen=True, kw_only=True):
    secret: str | None
    """What deliveries are signed with; null in a reply that is replayed."""


class EndpointPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    endpoints: list[Endpoint]
    next_cursor: str | None


class EndpointSecrets(msgspec.Struct, frozen=True, kw_only=True):
    secret: str | None
    """The newest."""
    secrets: list[str]
    """Those in force, newest first."""
