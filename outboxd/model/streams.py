"""What replies say about feeds."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from outboxd.model.positions import PATTERN
from outboxd.model.raw import AnyJson
from outboxd.model.times import Epoch

Position = Annotated[str, Meta(pattern=PATTERN, description="opaque; comparable inside one epoch")]


class PositionReply(msgspec.Struct, frozen=True, kw_only=True):
    position: Position
    """The head."""
    earliest: Position
    """The floor: what follows it can still be read."""
    head: int
    floor: int
    pending: int
    """Committed and not numbered yet, counted to 10,000."""


class ResetTold(msgspec.Struct, frozen=True, kw_only=True):
    """A position that was asked for and cannot be served."""

    reason: str
    """expired, ahead, epoch."""
    asked: str
    earliest: Position
    latest: Position


class FeedPage(msgspec.Struct, frozen=True, kw_only=True):
    events: list[AnyJson]
    """Each an event with its `position`, or a structured CloudEvent."""
    position: Position
    """Where the next page begins; moves past what the filters leave out."""
    head: int
    more: bool
    reset: ResetTold | UnsetType = UNSET


class StreamToken(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    token: str | None
    """Shown this once: null in a reply that is replayed, as is `url`."""
    expires_at_epoch: Epoch
    url: str | None
    """Of the stream that it opens."""
