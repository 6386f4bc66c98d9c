"""What was and will be sent to an endpoint."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from outboxd.model.jobs import Attempt, JobEntry
from outboxd.model.times import Epoch


class DeliveryEntry(JobEntry, frozen=True, kw_only=True, rename="camel"):
    last_attempt: Attempt | None
    """The last that ended, with what the target answered."""


class DeliveryPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    deliveries: list[DeliveryEntry]
    next_cursor: str | None


class Tested(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How the one attempt went, whatever the target said."""

    outcome: Literal["completed", "failed"]
    class_: str = msgspec.field(name="class")
    status: int | None
    duration_ms: int
    body: str | UnsetType = UNSET
    """At most 4 KiB; left out for targets that only the deployment's allow-list opens."""


class Owed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a recovery would deliver."""

    matched: int
    exact: bool
    """False: there may be more."""
    oldest_epoch: Epoch | None
    newest_epoch: Epoch | None
