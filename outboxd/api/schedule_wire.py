"""A schedule as clients write it, checked, and as it is stored."""

import re
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from outboxd.api.json_checks import refused
from outboxd.errors import Issue, TooLarge
from outboxd.model import ticks
from outboxd.model.raw import AnyJson
from outboxd.model.schedules import Missed, Schedule
from outboxd.model.ticks import BadRule, Rule

SHOWN_TICKS = 5
_PAYLOAD_BYTES = 64 * 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_JUST = timedelta(microseconds=1)

Epoch = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]
Named = Annotated[str, Meta(min_length=1, max_length=255)]


class ScheduleIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What is UNSET stays as it is (PATCH) or is the default; null is the default."""

    project_id: str | UnsetType | None = UNSET
    name: Annotated[str, Meta(min_length=1, max_length=120)] | UnsetType = UNSET
    cron: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=200,
                description="five fields, @hourly, @daily, @weekly, @monthly, @yearly or every <n>s|m|h|d",
                examples=["30 2 * * mon-fri", "every 90s"],
            ),
        ]
        | UnsetType
    ) = UNSET
    timezone: Annotated[str, Meta(min_length=1, max_length=64)] | UnsetType | None = UNSET
    type: Named | UnsetType = UNSET
    payload: AnyJson | UnsetType = UNSET
    subject: Named | UnsetType | None = UNSET
    ordering_key: Named | UnsetType | None = UNSET
    enabled: bool | UnsetType | None = UNSET
    missed: Missed | UnsetType | None = UNSET
    missed_cap: Annotated[int, Meta(ge=1, le=1000)] | UnsetType | None = UNSET
    starts_at_epoch: Epoch | UnsetType | None = UNSET
    ends_at_epoch: Epoch | UnsetType | None = UNSET


BODY = msgspec.json.Decoder(ScheduleIn)

Values = dict[str, Any]
"""Every field by its name here."""

_REQUIRED = ("name", "cron", "type")
_DEFAULTS: Values = {
    "timezone": "UTC",
    "payload": Raw(b"{}"),
    "subject": None,
    "ordering_key": None,
    "enabled": True,
    "missed": "once",
    "missed_cap": 100,
    "starts_at_epoch": None,
    "ends_at_epoch": None,
}
_FIELDS = (*_REQUIRED, *_DEFAULTS)
_TEXTS = {"name": "name", "type": "type", "subject": "subject", "ordering_key": "orderingKey"}
_TIMING = ("cron", "timezone", "starts_at_epoch", "ends_at_epoch")


def whole(given: ScheduleIn, known: Schedule | None = None) -> Values:
    """As given, else as `known`, else the default. Raises Invalid, TooLarge."""
    base = _DEFAULTS if known is None else {name: getattr(known, name) for name in _FIELDS}
    told = {name: getattr(given, name) for name in _FIELDS if getattr(given, name) is not UNSET}
    values = {**base, **{name: _DEFAULTS.get(name) if v is None else v for name, v in told.items()}}
    for name in _REQUIRED:
        if values.get(name) is None:
            raise refused("Required", (name,), "required")
    values["cron"] = " ".join(values["cron"].split())
    values["payload"] = _payload(values["payload"])
    for name, path in _TEXTS.items():
        if values[name] is not None and _CONTROL.search(values[name]):
            raise refused("control characters", (path,), "invalid_string")
    if values["type"].startswith("outboxd."):
        raise refused("outboxd.* is reserved", ("type",), "reserved")
    starts, ends = values["starts_at_epoch"], values["ends_at_epoch"]
    if starts is not None and ends is not None and ends <= starts:
        raise refused("later than startsAtEpoch", ("endsAtEpoch",), "too_small")
    return values


def columns(values: Values) -> Values:
    """Of `schedules`, but its next tick and its state."""
    kept = {name: value for name, value in values.items() if not name.endswith("_epoch")}
    return {
        **kept,
        "starts_at": _iso(values["starts_at_epoch"]),
        "ends_at": _iso(values["ends_at_epoch"]),
    }


def first_tick(values: Values, created: datetime, now: datetime) -> datetime | None:
    """Its first tick later than `now`; None where it is disabled. Raises Invalid when it has none."""
    found = _first(values, _rule(values, created), now)
    if found is None:
        at = "cron" if values["ends_at_epoch"] is None else "endsAtEpoch"
        raise refused("it would never tick, or not within ten years", (at,), "invalid_value")
    return found if values["enabled"] else None


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """Where a schedule stands after a change."""

    state: str
    reason: str | None
    next_at: datetime | None


def turned(values: Values, given: ScheduleIn, known: Schedule, due: datetime | None, now: datetime) -> Turn:
    """`due`: its next tick until now, which stays unless the change is about time, or it was missed: what
    passed before a change never counts as missed. Raises Invalid."""
    created = _time(known.created_at_epoch)
    timed = any(values[name] != getattr(known, name) for name in _TIMING)
    enables = values["enabled"] and given.enabled is not UNSET
    resumed = enables and (not known.enabled or known.state != "active")
    first = first_tick(values, created, now) if timed or resumed else None
    if not values["enabled"]:
        return Turn(state=known.state, reason=known.reason, next_at=None)
    if known.state == "suspended" and not resumed:
        return Turn(state="suspended", reason=known.reason, next_at=due)
    if first is not None:
        return Turn(state="active", reason=None, next_at=first)
    if known.state == "active" and due is not None and due < now - timedelta(seconds=60):
        due = _first(values, _rule(values, created), now)
        return Turn(state="active" if due else "ended", reason=None, next_at=due)
    return Turn(state=known.state, reason=known.reason, next_at=due)


def shown(schedule: Schedule) -> Schedule:
    """With its next five ticks."""
    return msgspec.structs.replace(schedule, next_ticks_epoch=_next_ticks(schedule))


def _next_ticks(schedule: Schedule) -> list[int]:
    if schedule.next_at_epoch is None:
        return []
    first, until = _time(schedule.next_at_epoch), _LAST
    if schedule.ends_at_epoch is not None:
        until = _time(schedule.ends_at_epoch) - _JUST
    try:
        rule = ticks.parsed(schedule.cron, schedule.timezone, _time(schedule.created_at_epoch))
    except BadRule:
        # Taken by another release, or the zone is not known here: what fires it will say so.
        return [schedule.next_at_epoch]
    return [(at - _EPOCH) // _MS for at in islice(rule.between(first, until), SHOWN_TICKS)]


def _rule(values: Values, created: datetime) -> Rule:
    try:
        return ticks.parsed(values["cron"], values["timezone"], created)
    except BadRule as bad:
        raise refused(str(bad), (bad.field,), "invalid_value") from None


def _first(values: Values, rule: Rule, now: datetime) -> datetime | None:
    starts, ends = values["starts_at_epoch"], values["ends_at_epoch"]
    begins = now if starts is None else max(now, _time(starts) - _JUST)
    found = rule.after(begins) if begins <= now + ticks.HORIZON else None
    if found is None or found > now + ticks.HORIZON or (ends is not None and found >= _time(ends)):
        return None
    return found


def _payload(payload: Any) -> Any:
    if len(payload) > _PAYLOAD_BYTES:
        issue = Issue(path=("payload",), code="too_big", message=f"larger than {_PAYLOAD_BYTES} bytes")
        raise TooLarge(f"the payload is larger than {_PAYLOAD_BYTES} bytes", issues=(issue,))
    return Raw(b"{}") if bytes(payload) == b"null" else payload


def _iso(epoch: int | None) -> str | None:
    return None if epoch is None else _time(epoch).isoformat()


def _time(epoch: int) -> datetime:
    return _EPOCH + epoch * _MS


_LAST = datetime.max.replace(tzinfo=UTC)
