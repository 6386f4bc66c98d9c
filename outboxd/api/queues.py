"""Queues: what of the caller's waits in them, and their settings."""

import time
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from outboxd.api import cursors, queries, tenancy
from outboxd.api import exchange as x
from outboxd.api.exchange import Exchange, Reply
from outboxd.api.json_checks import refused
from outboxd.api.wire import Epoch, now, uuid_of
from outboxd.db.link import Link
from outboxd.db.pool import Database
from outboxd.errors import Forbidden, InvalidCursor, NotFound
from outboxd.model import Caller
from outboxd.model.queues import Queue, QueuePage, QueueReply, Rate
from outboxd.store import queue_lists, steering
from outboxd.store.callers import ByKey

LIST_QUERY = frozenset({"limit", "cursor"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FRESH = 5.0
_MOST = 1000
_OPERATORS = "only an operator key changes the settings of a queue: others pause their own share"

Seen = tuple[UUID | None, tuple[UUID, ...] | None, str | None, str | None, int]


class RateIn(Rate, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    per_second: Annotated[float, Meta(ge=0.01, le=10_000)]
    burst: Annotated[int, Meta(ge=1, le=10_000)]


class SettingsIn(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    """Null is the default again."""

    concurrency: Annotated[int, Meta(ge=1, le=1000)] | UnsetType | None = UNSET
    per_worker: Annotated[int, Meta(ge=1, le=1000)] | UnsetType | None = UNSET
    lease_size: Annotated[int, Meta(ge=1, le=500)] | UnsetType | None = UNSET
    rate: RateIn | UnsetType | None = UNSET
    attempts: Annotated[int, Meta(ge=1, le=100)] | UnsetType | None = UNSET
    backoff: dict[str, Any] | UnsetType | None = UNSET
    timeout_ms: Annotated[int, Meta(ge=1000, le=86_400_000)] | UnsetType | None = UNSET
    on_dead: Literal["advance", "block"] | UnsetType | None = UNSET


class QueueIn(SettingsIn, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Keys of teams and projects pause and resume the share of a project, nothing else."""

    paused: bool | None = None
    reason: Annotated[str, Meta(min_length=1, max_length=500)] | None = None
    until_epoch: Epoch | None = None
    project_id: str | None = None
    """Whose share; of an operator key: none means the whole queue."""
    weight: Annotated[int, Meta(ge=1, le=100)] | None = None
    """Of that share."""


PATCH = msgspec.json.Decoder(QueueIn)


class Depths:
    """What each caller sees, remembered for 5 s, since a count looks at up to 10,000 rows of each."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: dict[Seen, tuple[float, list[Queue]]] = {}

    async def of(
        self, caller: Caller, *, name: str | None = None, after: str | None = None, limit: int = 1
    ) -> list[Queue]:
        """Raises DatabaseUnavailable."""
        seen = (caller.team_id, caller.project_ids, name, after, limit)
        until, found = self._known.get(seen, (0.0, []))
        if until > time.monotonic():
            return found
        async with self._db.connection() as conn:
            found = await queue_lists.listed(
                conn, caller.team_id, caller.project_ids, name=name, after=after, limit=limit
            )
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[seen] = (time.monotonic() + _FRESH, found)
        return found

    def forget(self) -> None:
        """What was known is changed."""
        self._known.clear()


async def listed(exchange: Exchange) -> Reply:
    """GET /v1/queues: where jobs of the caller wait, by name"""
    limit, after = queries.limit(exchange), _after(exchange)
    found = await exchange.api.depths.of(exchange.caller, after=after, limit=limit + 1)
    more = found[limit - 1].name.encode() if len(found) > limit else None
    cursor = None if more is None else cursors.write_bytes(exchange, more)
    return x.json(QueuePage(queues=found[:limit], next_cursor=cursor))


async def one(exchange: Exchange) -> Reply:
    """GET /v1/queues/{queue}: one; unknown where nothing of the caller's was ever in it"""
    return x.json(QueueReply(queue=await _seen(exchange)))


async def change(exchange: Exchange) -> Reply:
    """PATCH /v1/queues/{queue}: pause, resume, settings; of tenants the share of a project alone"""
    given: QueueIn = exchange.body
    queue = (await _seen(exchange)).name
    settings = _settings(given)
    operator = exchange.caller.team_id is None
    if not operator and (settings or given.weight is not None):
        raise Forbidden(_OPERATORS)
    until = _until(exchange, given)
    project = _named(given) if operator else await tenancy.written_project(exchange, given.project_id)
    if given.paused is None and given.weight is None and not settings:
        raise refused("nothing to change", (), "invalid_value")
    if given.weight is not None and project is None:
        raise refused("Required", ("projectId",), "required")

    async def write(conn: Link) -> None:
        by = tenancy.by_key(exchange, "admin")
        if settings:
            await steering.configure(conn, by, queue, settings)
        if given.weight is not None and project is not None:
            await steering.weigh(conn, by, queue, project, given.weight)
        await _pause(conn, by, queue, project, given, until)

    await exchange.api.db.run(write)
    exchange.api.depths.forget()
    return await one(exchange)


async def _pause(
    conn: Link, by: ByKey, queue: str, project: UUID | None, given: QueueIn, until: datetime | None
) -> None:
    if given.paused:
        await steering.pause(conn, by, queue, project=project, until=until, reason=given.reason)
    elif given.paused is not None:
        await steering.resume(conn, by, queue, project=project)


async def _seen(exchange: Exchange) -> Queue:
    """The queue of the path, if the caller sees it. Raises NotFound."""
    name = exchange.parameter("queue")
    if 1 <= len(name) <= 100 and "\x00" not in name:
        for found in await exchange.api.depths.of(exchange.caller, name=name):
            return found
    raise NotFound("Queue not found")


def _settings(given: QueueIn) -> dict[str, Any]:
    names = SettingsIn.__struct_fields__
    only = SettingsIn(**{name: getattr(given, name) for name in names})
    found: dict[str, Any] = msgspec.to_builtins(only)
    return found


def _until(exchange: Exchange, given: QueueIn) -> datetime | None:
    for name, value in (("reason", given.reason), ("untilEpoch", given.until_epoch)):
        if value is not None and not given.paused:
            raise refused("only with paused: true", (name,), "invalid_value")
    if given.until_epoch is None:
        return None
    until = _EPOCH + timedelta(milliseconds=given.until_epoch)
    if until <= now(exchange):
        raise refused("later than now", ("untilEpoch",), "too_small")
    return until


def _named(given: QueueIn) -> UUID | None:
    if given.project_id is None:
        return None
    project = uuid_of(given.project_id)
    if project is None:
        raise NotFound("Project not found")
    return project


def _after(exchange: Exchange) -> str | None:
    place = cursors.read_bytes(exchange)
    try:
        return None if place is None else place.decode("ascii")
    except UnicodeDecodeError:
        raise InvalidCursor("the cursor is not one of this list") from None
