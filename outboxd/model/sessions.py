"""One run of an agent."""

from typing import Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from outboxd.model.jobs import JobDescriptor
from outboxd.model.raw import Object
from outboxd.model.times import Epoch

GenerationStatus = Literal["idle", "processing", "completed", "failed"]
"""processing: a job of its events or of its summary is not over; failed, completed: the last summary."""


class Session(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    id: UUID
    project_id: UUID
    team_id: UUID
    external_session_id: str | None
    content_session_id: str | None
    agent_id: str | None
    agent_type: str | None
    platform_source: str | None
    generation_status: GenerationStatus
    metadata: Object
    started_at_epoch: Epoch
    ended_at_epoch: Epoch | None
    last_generated_at_epoch: Epoch | None
    """When something was last recorded about it: an observation, or its summary."""
    created_at_epoch: Epoch
    updated_at_epoch: Epoch
    end_count: int
    reopened_at_epoch: Epoch | None
    last_event_at_epoch: Epoch | UnsetType | None = UNSET
    """This and the next: only where one session is asked for."""
    event_count: int | UnsetType = UNSET


class SessionReply(msgspec.Struct, frozen=True, kw_only=True):
    session: Session


class SessionEnded(SessionReply, frozen=True, kw_only=True, rename="camel"):
    generation_job: JobDescriptor | UnsetType = UNSET
    """Of the summary; left out when there is none."""


class SessionPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    sessions: list[Session]
    next_cursor: str | None
