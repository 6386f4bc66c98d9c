"""A question that waits for one person's answer."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from outboxd.model.raw import AnyJson, Object
from outboxd.model.times import Epoch

Kind = Literal["question", "approval", "suggestion"]
State = Literal["pending", "answered", "withdrawn", "expired"]
"""Past its time a pending one reads as expired, swept or not."""

Prompt = Annotated[
    Raw,
    Meta(description="text, or an object for the channel", extra_json_schema={"type": ["string", "object"]}),
]
Value = Annotated[str, Meta(description="at most 1 KiB")]


class Option(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One of the answers to choose from."""

    value: Value
    label: Annotated[str, Meta(max_length=200)] | UnsetType = UNSET
    """What is shown; left out: the value."""


class Interaction(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`prompt`, `options` and `context` only for who may read; in lists where payloads are asked for."""

    id: str
    project_id: UUID
    team_id: UUID
    connection_id: str
    """The channel instance that shows it."""
    expected_actor: str
    """Who may answer, as that channel names people; `*`: anyone there."""
    kind: Kind
    state: State
    prompt: Prompt | UnsetType = UNSET
    options: list[Option] | UnsetType | None = UNSET
    free_text: bool
    """An answer outside the options is allowed."""
    context: Object | UnsetType = UNSET
    """For the asker; never shown to whoever answers."""
    digest: str
    """SHA-256 of what was asked, in hex."""
    session_id: UUID | None
    created_at_epoch: Epoch
    expires_at_epoch: Epoch
    answered_at_epoch: Epoch | None
    answered_by: str | None
    answer: AnyJson | UnsetType | None = UNSET
    answer_event_id: UUID | None
    ended_reason: str | None
    uses: int
    max_uses: int | None
    """Of suggestions only, as is `uses`."""
    request_id: str | None


class InteractionReply(msgspec.Struct, frozen=True, kw_only=True):
    interaction: Interaction


class InteractionAsked(InteractionReply, frozen=True, kw_only=True):
    duplicate: Literal[True] | UnsetType = UNSET
    """It was asked before: nothing of it has moved."""


class InteractionAnswered(InteractionReply, frozen=True, kw_only=True, rename="camel"):
    replayed: bool | UnsetType = UNSET
    """The same person gave the same answer before; left out for a suggestion."""
    use_event_id: UUID | UnsetType = UNSET
    """Of a suggestion that was used."""


class InteractionPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    interactions: list[Interaction]
    next_cursor: str | None
