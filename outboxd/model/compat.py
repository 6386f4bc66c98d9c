"""What clients of the server that we replace are answered on its own routes."""

from typing import Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from outboxd.model.jobs import Transport


class Queued(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    status: Literal["queued"] = "queued"
    observation_count: Literal[1] = 1
    session_id: UUID
    server_session_id: UUID
    """The same again."""
    event_id: UUID
    generation_job_id: UUID | None
    transport: Transport
    """skipped: there is no job; queued_only: it waits for something, or is not made yet."""


class Summarizing(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """skipped and not_found have a reason, queued the rest."""

    status: Literal["queued", "skipped", "not_found"]
    reason: Literal["subagent_context", "session_not_found"] | UnsetType = UNSET
    session_id: UUID | UnsetType = UNSET
    server_session_id: UUID | UnsetType = UNSET
    generation_job_id: UUID | UnsetType | None = UNSET
    transport: Transport | UnsetType = UNSET
