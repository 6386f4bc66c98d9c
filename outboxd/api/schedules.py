"""Schedules: POST, GET, PATCH, DELETE /v1/schedules, and one more event out of turn."""

from uuid import UUID

import msgspec
from msgspec import UNSET

from outboxd.api import cursors, idempotency, queries, revisions, schedule_wire, tenancy
from outboxd.api import exchange as x
from outboxd.api.exchange import Exchange, Reply
from outboxd.api.json_checks import refused
from outboxd.api.schedule_wire import ScheduleIn, Values
from outboxd.db.link import Link
from outboxd.errors import NotFound
from outboxd.model.schedules import Schedule, SchedulePage, ScheduleReply, ScheduleRun
from outboxd.store import events, schedules

LIST_QUERY = frozenset({"projectId", "limit", "cursor"})
READ, WRITE = "endpoints:read", "endpoints:write"


async def make(exchange: Exchange) -> Reply:
    """A rule of time that publishes an event at each of its ticks."""
    given: ScheduleIn = exchange.body
    named = given.project_id if isinstance(given.project_id, str) else None
    project = await tenancy.written_project(exchange, named)
    values = await _cleaned(exchange, project, schedule_wire.whole(given))

    async def write(conn: Link) -> Reply:
        now = await schedules.now(conn)
        first = schedule_wire.first_tick(values, now, now)
        fields = schedule_wire.columns(values)
        made = await schedules.add(conn, tenancy.by_key(exchange, WRITE), project, fields, now, first)
        return x.json(ScheduleReply(schedule=await _read(conn, exchange, made)), 201)

    reply = await idempotency.once(exchange, write, scope=project)
    _wake(exchange)
    return reply


async def listed(exchange: Exchange) -> Reply:
    """The schedules, newest first, each with its next five ticks."""
    project = await tenancy.asked_project(exchange)
    limit, after = queries.limit(exchange), cursors.read(exchange)
    async with exchange.api.db.connection() as conn:
        found = await schedules.listed(conn, exchange.caller, project=project, after=after, limit=limit + 1)
    more = found[limit - 1].id if len(found) > limit else None
    shown = [schedule_wire.shown(each) for each in found[:limit]]
    return x.json(SchedulePage(schedules=shown, next_cursor=cursors.write(exchange, more)))


async def one(exchange: Exchange) -> Reply:
    """One schedule, with its next five ticks."""
    return x.json(ScheduleReply(schedule=schedule_wire.shown(await _asked(exchange))))


async def change(exchange: Exchange) -> Reply:
    """A merge patch, under If-Match where it is sent; from then on it publishes in the name of this key."""
    given: ScheduleIn = exchange.body
    if given.project_id is not UNSET:
        raise refused("cannot be changed", ("projectId",), "invalid_value")
    seen = await _asked(exchange)
    if given.payload is not UNSET:
        cleaned = await _cleaned(exchange, seen.project_id, {"payload": given.payload})
        given = msgspec.structs.replace(given, payload=cleaned["payload"])
    wanted = revisions.wanted(exchange)

    async def write(conn: Link) -> Schedule:
        by = tenancy.by_key(exchange, WRITE)
        due = await schedules.lock(conn, by, seen.id, wanted)
        now = await schedules.now(conn)
        known = await schedules.get(conn, exchange.caller, seen.id)
        if known is None:
            raise NotFound("Schedule not found")
        values = schedule_wire.whole(given, known)
        turn = schedule_wire.turned(values, given, known, due, now)
        fields = {**schedule_wire.columns(values), "state": turn.state, "reason": turn.reason}
        await schedules.change(conn, by, seen.id, fields, turn.next_at)
        return await _read(conn, exchange, seen.id)

    changed = await exchange.api.db.run(write)
    _wake(exchange)
    return x.json(ScheduleReply(schedule=changed))


async def remove(exchange: Exchange) -> Reply:
    """No tick fires any more; the events that it published stay."""
    seen, wanted = await _asked(exchange), revisions.wanted(exchange)
    async with exchange.api.db.transaction() as conn:
        await schedules.remove(conn, tenancy.by_key(exchange, WRITE), seen.id, wanted)
    return Reply(204, headers=())


async def run(exchange: Exchange) -> Reply:
    """Publishes its event now, also where it is disabled; the next tick stays where it is."""
    seen = await _asked(exchange)
    made: list[UUID] = []

    async def write(conn: Link) -> Reply:
        made[:] = [await schedules.run(conn, tenancy.by_key(exchange, WRITE), seen.id)]
        [event] = await events.of_ids(conn, exchange.caller, made)
        return x.json(ScheduleRun(event=event), 202)

    reply = await idempotency.once(exchange, write, scope=seen.project_id)
    if made:
        async with exchange.api.db.connection() as conn:
            owed = await schedules.owed(conn, made)
        exchange.api.wakes.committed({each.queue: each.handler for each in owed}, [seen.project_id])
    return reply


async def _asked(exchange: Exchange) -> Schedule:
    """That of the path. Raises NotFound, Forbidden."""
    named = tenancy.path_id(exchange)
    found = None
    if named is not None:
        async with exchange.api.db.connection() as conn:
            found = await schedules.get(conn, exchange.caller, named)
    if found is None:
        raise await tenancy.refuse(exchange, "Schedule", named)
    return found


async def _read(conn: Link, exchange: Exchange, schedule: UUID) -> Schedule:
    found = await schedules.get(conn, exchange.caller, schedule)
    if found is None:
        raise NotFound("Schedule not found")
    return schedule_wire.shown(found)


async def _cleaned(exchange: Exchange, project: UUID, values: Values) -> Values:
    """Without private spans."""
    clean = await exchange.api.privacy.clean(project, values["payload"], UNSET)
    return {**values, "payload": clean.payload}


def _wake(exchange: Exchange) -> None:
    """Its first tick may be sooner than the next look."""
    exchange.api.wakes.committed({})
