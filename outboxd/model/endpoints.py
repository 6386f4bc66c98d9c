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


class EndpointSaid(EndpointReply, frozen=True, kw_only=True, rename="camel"):
    secret: str | UnsetType | None = UNSET
    """What deliveries are signed with, where this request made it; null in a reply that is replayed."""
    public_key: str | UnsetType = UNSET
    """What `v1a` signatures are verified with, where this request made the pair."""
    warnings: list[str] | UnsetType = UNSET


class SecretRotated(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    kind: Literal["hmac", "ed25519"]
    secret: str | UnsetType | None = UNSET
    """The new one; null in a reply that is replayed."""
    public_key: str | UnsetType = UNSET
    """Of an ed25519 key, whose private half is shown to nobody."""
    old_until_epoch: Epoch
    """Until then the old ones sign too."""


class EndpointPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    endpoints: list[Endpoint]
    next_cursor: str | None


class EndpointSecrets(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    secret: str | None
    """The newest."""
    secrets: list[str]
    """Those in force, newest first."""
    public_keys: list[str]
    """Of the ed25519 keys in force, newest first."""
