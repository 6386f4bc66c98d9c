"""A rule of time that publishes an event at each of its ticks."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from outboxd.model.events import Event
from outboxd.model.raw import AnyJson
from outboxd.model.times import Epoch

Missed = Literal["once", "skip", "all"]
State = Literal["active", "suspended", "ended"]


class Schedule(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    id: UUID
    team_id: UUID
    project_id: UUID
    name: str
    """Unique in its project."""
    cron: str
    """Five fields, `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`, or `every <n>s|m|h|d`."""
    timezone: str
    type: str
    """Of the events, as are `payload`, `subject` and `orderingKey`."""
    payload: AnyJson
    subject: str | None
    ordering_key: str | None
    enabled: bool
    missed: Missed
    """What becomes of ticks more than 60 s late: one event for all, none, or each."""
    missed_cap: int
    """Of `all`: the newest so many; of the others the number is told."""
    starts_at_epoch: Epoch | None
    ends_at_epoch: Epoch | None
    """No tick from then on."""
    state: State
    """`suspended`: `reason` says why it may not publish; enabling it again is an answer. `ended`: no tick
    is to come."""
    reason: str | None
    next_at_epoch: Epoch | None
    last_tick_epoch: Epoch | None
    next_ticks_epoch: Annotated[list[Epoch], Meta(max_length=5)] | UnsetType = UNSET
    """The next five."""
    revision: int
    key_id: UUID | None
    """In whose name it publishes: the key that changed it last."""
    actor: str | None
    created_at_epoch: Epoch
    updated_at_epoch: Epoch


class ScheduleReply(msgspec.Struct, frozen=True, kw_only=True):
    schedule: Schedule


class SchedulePage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    schedules: list[Schedule]
    next_cursor: str | None


class ScheduleRun(msgspec.Struct, frozen=True, kw_only=True):
    event: Event
