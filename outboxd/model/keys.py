"""What replies say about keys."""

from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from outboxd.model.tenants import Key, Team
from outboxd.model.times import Epoch


class KeyReply(msgspec.Struct, frozen=True, kw_only=True):
    key: Key


class KeyPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    keys: list[Key]
    next_cursor: str | None


class KeyMade(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    id: UUID
    api_key: str | None
    """The secret, shown this once: null in a reply that is replayed, as is `connectCommand`."""
    scopes: tuple[str, ...]
    expires_at: str | None
    """ISO 8601."""
    mcp_url: str
    connect_command: str | None
    key: Key
    previous: Key | UnsetType = UNSET
    """Of a rotation: the old one, as it is now."""


class KeyRevoked(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    revoked: bool
    id: UUID
    revoked_at_epoch: Epoch | None


class Connect(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    mcp_url: str
    connect_command: str
    hint: str


class TeamMade(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    team: Team
    first_key: KeyMade | UnsetType | None = UNSET
    """Null in a reply that is replayed."""
