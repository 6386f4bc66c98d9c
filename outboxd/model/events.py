"""What was accepted durably."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from outboxd.model.times import Epoch


class Event(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    id: UUID
    project_id: UUID
    team_id: UUID
    server_session_id: UUID | None
    source_adapter: str
    source_event_id: str | None
    event_type: str
    platform_source: str | None
    payload: Raw | UnsetType = UNSET
    """Left out of lists; null when it is large and travels by `dataref`."""
    metadata: Raw | UnsetType = UNSET
    occurred_at_epoch: Epoch
    received_at_epoch: Epoch
    created_at_epoch: Epoch
    subject: str | None
    ordering_key: str | None
    request_id: str | None
    traceparent: str | None
    position: str | None
    """Where it stands in the project's feed, once it is numbered."""
    expires_at_epoch: Epoch | None
    private_removed: int
    """How many private spans were taken out before it was stored."""
    expunged_at_epoch: Epoch | None
    """Then payload and metadata are empty, and what came from the body is null."""
    source: str | UnsetType = UNSET
    """This and the next three: events that came as CloudEvents."""
    content_type: str | UnsetType = UNSET
    encoding: str | UnsetType = UNSET
    attributes: Raw | UnsetType = UNSET
    dataref: str | UnsetType = UNSET


class EventReply(msgspec.Struct, frozen=True, kw_only=True):
    event: Event


class EventPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    events: list[Event]
    next_cursor: str | None


TimelineEntry = Annotated[
    dict[str, Any],
    Meta(
        extra_json_schema={
            "required": ["atEpoch", "kind"],
            "properties": {"atEpoch": {"type": "integer"}, "kind": {"type": "string"}},
        }
    ),
]
"""When something happened and of which kind; the rest is what that kind has to say, as `jobId`."""


class Timeline(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    event_id: UUID
    entries: list[TimelineEntry]
    truncated: bool
