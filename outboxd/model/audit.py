"""What replies say of the audit trail."""

from uuid import UUID

import msgspec
from msgspec import Raw

from outboxd.model.times import Epoch


class Entry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    id: UUID
    at_epoch: Epoch
    action: str
    resource_type: str
    resource_id: str | None
    team_id: UUID | None
    project_id: UUID | None
    actor_id: str | None
    """None: the pipeline itself."""
    api_key_id: UUID | None
    request_id: str | None
    details: Raw


class AuditPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    entries: list[Entry]
    next_cursor: str | None
