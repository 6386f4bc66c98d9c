"""`outboxd schedules`"""

import json
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, Any

from outboxd.cli import tenancy, times
from outboxd.cli.confirm import confirm
from outboxd.cli.parser import Args, Nouns, Parser, between, listed, owned, risky
from outboxd.cli.reply import Record, Rows
from outboxd.errors import ConfigError, Conflict, NotFound

if TYPE_CHECKING:
    from uuid import UUID

    from outboxd.api.schedule_wire import ScheduleIn
    from outboxd.db.pool import Database
    from outboxd.model import Caller
    from outboxd.model.schedules import Schedule

COLUMNS = ("id", "name", "cron", "timezone", "type", "projectId", "enabled", "state", "nextAtEpoch")


def add(nouns: Nouns) -> None:
    noun = nouns.noun("schedules", "rules of time that publish an event at each tick")
    owned(listed(noun.verb("list", "newest first", every)), ["project"])
    parser = noun.verb("create", "an event of that type at each tick", create)
    parser.add_argument("name", help="unique in the project")
    parser.add_argument("cron", help="'30 2 * * mon-fri', @daily, 'every 90s'")
    parser.add_argument("type", help="of the events")
    parser.add_argument("--project", metavar="ID|NAME", required=True, help="whose events")
    parser.add_argument("--disabled", dest="enabled", action="store_false", default=None, help="not yet")
    _settings(owned(parser, ["team"]))
    parser = _one(noun.verb("change", "what is named changes, from its next tick on", change))
    parser.add_argument("--name", help="unique in the project")
    parser.add_argument("--cron", help="'30 2 * * mon-fri', @daily, 'every 90s'")
    parser.add_argument("--type", help="of the events")
    _settings(parser)
    _one(noun.verb("enable", "it ticks from now on, also one that was suspended", enable))
    _one(noun.verb("disable", "no tick fires any more; none of them will count as missed", disable))
    _one(noun.verb("run", "publishes its event now; the next tick stays where it is", run))
    _one(risky(noun.verb("delete", "gone; the events that it published stay", delete)))


async def every(args: Args, db: "Database") -> Rows:
    from outboxd.api import schedule_wire
    from outboxd.store import schedules

    async with db.connection() as conn:
        who = await tenancy.caller(conn)
        project = await tenancy.project(conn, who, args.project) if args.project else None
        of = project.id if project else None
        found = await schedules.listed(conn, who, project=of, limit=args.limit)
    return Rows(name="schedules", columns=COLUMNS, rows=[schedule_wire.shown(each) for each in found])


async def create(args: Args, db: "Database") -> Record:
    from outboxd.api import schedule_wire
    from outboxd.store import schedules

    values = schedule_wire.whole(_given(args))
    async with db.transaction() as conn:
        who = await tenancy.caller(conn)
        _, project = await tenancy.scope(conn, who, args)
        if project is None:
            raise ConfigError(["--project: whose events"])
        now = await schedules.now(conn)
        first = schedule_wire.first_tick(values, now, now)
        made = await schedules.add(conn, who, project, schedule_wire.columns(values), now, first)
        return Record(fields=await _shown(conn, who, made))


async def change(args: Args, db: "Database") -> Record:
    given = _given(args)
    if given == _nothing():
        raise ConfigError(["say what should change (see outboxd schedules change --help)"])
    return await _changed(args, db, given)


async def enable(args: Args, db: "Database") -> Record:
    import msgspec

    return await _changed(args, db, msgspec.structs.replace(_nothing(), enabled=True))


async def disable(args: Args, db: "Database") -> Record:
    from outboxd.store import schedules

    async with db.transaction() as conn:
        who = await tenancy.caller(conn)
        found = await _found(conn, who, args)
        await schedules.disable(conn, who, found.id)
        return Record(fields=await _shown(conn, who, found.id))


async def run(args: Args, db: "Database") -> Record:
    from outboxd.store import schedules

    async with db.transaction() as conn:
        who = await tenancy.caller(conn)
        found = await _found(conn, who, args)
        event = await schedules.run(conn, who, found.id)
    return Record(fields={"id": found.id, "name": found.name, "event": event})


async def delete(args: Args, db: "Database") -> Record:
    from outboxd.store import schedules

    async with db.connection() as conn:
        found = await _found(conn, await tenancy.caller(conn), args)
    if not args.dry_run:
        confirm(args, f"Delete the schedule {found.name} ({found.id})?")
        async with db.transaction() as conn:
            await schedules.remove(conn, await tenancy.caller(conn), found.id)
    return Record(fields={"id": found.id, "name": found.name, "deleted": not args.dry_run})


async def _changed(args: Args, db: "Database", given: "ScheduleIn") -> Record:
    from outboxd.api import schedule_wire
    from outboxd.store import schedules

    async with db.transaction() as conn:
        who = await tenancy.caller(conn)
        seen = await _found(conn, who, args)
        due = await schedules.lock(conn, who, seen.id)
        now = await schedules.now(conn)
        # Read again under the lock: what is laid over is what is there now.
        known = await schedules.get(conn, who, seen.id) or seen
        values = schedule_wire.whole(given, known)
        turn = schedule_wire.turned(values, given, known, due, now)
        fields = {**schedule_wire.columns(values), "state": turn.state, "reason": turn.reason}
        await schedules.change(conn, who, seen.id, fields, turn.next_at)
        return Record(fields=await _shown(conn, who, seen.id))


async def _found(conn: "tenancy.Conn", who: "Caller", args: Args) -> "Schedule":
    """By id or name. Raises NotFound; Conflict when several projects have one of that name."""
    from uuid import UUID

    from outboxd.store import schedules

    project = await tenancy.project(conn, who, args.project) if args.project else None
    of = project.id if project else None
    try:
        one = await schedules.get(conn, who, UUID(args.schedule))
        found = [one] if one is not None and of in {None, one.project_id} else []
    except ValueError:
        found = await schedules.named(conn, who, args.schedule, of)
    if not found:
        raise NotFound(f"no schedule {args.schedule}")
    if len(found) > 1:
        raise Conflict(f"several projects have a schedule {args.schedule}: name it by its id")
    return found[0]


async def _shown(conn: "tenancy.Conn", who: "Caller", schedule: "UUID") -> "Schedule":
    from outboxd.api import schedule_wire
    from outboxd.store import schedules

    found = await schedules.get(conn, who, schedule)
    if found is None:
        raise NotFound(f"no schedule {schedule}")
    return schedule_wire.shown(found)


def _given(args: Args) -> "ScheduleIn":
    """What was said, as a client of the API would post it. Raises Invalid."""
    import msgspec

    from outboxd.api.schedule_wire import ScheduleIn
    from outboxd.errors import Invalid
    from outboxd.model import epoch

    said = {
        "name": args.name,
        "cron": args.cron,
        "type": args.type,
        "timezone": args.timezone,
        "payload": args.data,
        "subject": args.subject,
        "orderingKey": args.ordering_key,
        "enabled": getattr(args, "enabled", None),
        "missed": args.missed,
        "missedCap": args.missed_cap,
        "startsAtEpoch": epoch(args.starts) if args.starts else None,
        "endsAtEpoch": epoch(args.ends) if args.ends else None,
    }
    try:
        posted = msgspec.json.encode({name: value for name, value in said.items() if value is not None})
        return msgspec.json.decode(posted, type=ScheduleIn)
    except msgspec.ValidationError as wrong:
        raise Invalid(str(wrong)) from None


def _nothing() -> "ScheduleIn":
    from outboxd.api.schedule_wire import ScheduleIn

    return ScheduleIn()


def _one(parser: Parser) -> Parser:
    parser.add_argument("schedule", metavar="ID|NAME", help="which")
    return owned(parser, ["project"])


def _settings(parser: Parser) -> None:
    parser.add_argument("--timezone", metavar="ZONE", help="of the rule, such as Europe/Berlin (UTC)")
    parser.add_argument("--data", type=_json, metavar="JSON", help="payload of the events ({})")
    parser.add_argument("--subject", help="of the events")
    parser.add_argument("--ordering-key", metavar="KEY", help="of the events: the lane of their jobs")
    parser.add_argument(
        "--missed", choices=("once", "skip", "all"), help="ticks that nobody was there for (once)"
    )
    parser.add_argument(
        "--missed-cap", type=between(1, 1000), metavar="N", help="of all: the newest so many (100)"
    )
    parser.add_argument("--starts", type=times.future, metavar="WHEN", help="no tick sooner: 2h, or a time")
    parser.add_argument("--ends", type=times.future, metavar="WHEN", help="no tick from then on")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise ArgumentTypeError("this is no JSON") from None
