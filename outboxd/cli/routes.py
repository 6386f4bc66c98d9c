"""`outboxd routes`"""

import json
from argparse import ArgumentTypeError
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from outboxd.cli import tenancy, times
from outboxd.cli.parser import Args, Nouns, Parser, listed, owned
from outboxd.cli.reply import Record, Rows
from outboxd.errors import ConfigError, NotFound

if TYPE_CHECKING:
    from uuid import UUID

    from outboxd.db.pool import Database
    from outboxd.model import Caller
    from outboxd.store.routes import Route

COLUMNS = ("id", "pattern", "queue", "handler", "projectId", "enabled", "contains", "priority", "delayMs")
_MATCHED = ("routeId", "queue", "handler", "decides", "enabled")


def add(nouns: Nouns) -> None:
    noun = nouns.noun("routes", "events of this type make a job in this queue")
    owned(listed(noun.verb("list", "routes, by queue; of a project also the wider ones", every)))
    parser = _options(owned(noun.verb("add", "a route; without team and project for everybody", create)))
    parser.add_argument("pattern", help="a type, a.b.* or *")
    parser.add_argument("queue", help="where the jobs go")
    parser.add_argument("--handler", help="of a queue that is new; else pull:<queue>")
    parser = _options(noun.verb("change", "for events from now on", change))
    parser.add_argument("route", metavar="ID", help="which")
    parser.add_argument("--pattern", help="a type, a.b.* or *")
    noun.verb("remove", "jobs it made stay", remove).add_argument("route", metavar="ID", help="which")
    parser = owned(noun.verb("test", "which routes an event would take, and which decide", test))
    parser.add_argument("type", help="of the event")
    parser.add_argument("--data", type=_json, default={}, metavar="JSON", help="its payload")


async def every(args: Args, db: "Database") -> Rows:
    from outboxd.store import routes

    async with db.connection() as conn:
        who = await tenancy.caller(conn)
        team, project = await tenancy.scope(conn, who, args)
        found = await routes.listed(conn, who, team=team, project=project, limit=args.limit)
    return Rows(name="routes", columns=COLUMNS, rows=found)


async def create(args: Args, db: "Database") -> Record:
    from outboxd.store import routes

    options = _given(args)
    if args.handler:
        options["handler"] = args.handler
    async with db.transaction() as conn:
        who = await tenancy.caller(conn)
        team, project = await tenancy.scope(conn, who, args)
        if team and not project:
            options["teamId"] = str(team)
        made = await routes.add(conn, who, args.pattern, args.queue, project, options)
        return Record(fields=await _route(conn, who, made))


async def change(args: Args, db: "Database") -> Record:
    from outboxd.store import routes

    options = _given(args) | ({"pattern": args.pattern} if args.pattern else {})
    if not options:
        raise ConfigError(["say what should change (see outboxd routes change --help)"])
    route = tenancy.uuid(args.route, "route")
    async with db.transaction() as conn:
        who = await tenancy.caller(conn)
        await routes.change(conn, who, route, options)
        return Record(fields=await _route(conn, who, route))


async def remove(args: Args, db: "Database") -> Record:
    from outboxd.store import routes

    route = tenancy.uuid(args.route, "route")
    async with db.transaction() as conn:
        if not await routes.remove(conn, await tenancy.caller(conn), route):
            raise NotFound(f"no route {route}")
    return Record(fields={"id": route, "removed": True})


async def test(args: Args, db: "Database") -> Rows:
    from outboxd.store import routes

    if not args.project:
        raise ConfigError(["--project: whose event it would be"])
    async with db.connection() as conn:
        _, project = await tenancy.scope(conn, await tenancy.caller(conn), args)
        found = await routes.match(conn, project, args.type, args.data) if project else []
    return Rows(name="routes", columns=_MATCHED, rows=found)


async def _route(conn: "tenancy.Conn", who: "Caller", route: "UUID") -> "Route":
    from outboxd.store import routes

    found = await routes.get(conn, who, route)
    if found is None:
        raise NotFound(f"no route {route}")
    return found


def _options(parser: Parser) -> Parser:
    on = parser.add_mutually_exclusive_group()
    on.add_argument("--enable", dest="enabled", action="store_true", default=None, help="it makes jobs")
    on.add_argument(
        "--disable", dest="enabled", action="store_false", help="where it decides, no job is made"
    )
    parser.add_argument("--contains", type=_json, metavar="JSON", help="only payloads that contain this")
    parser.add_argument("--priority", type=int, metavar="N", help="-100 to 100 of its jobs")
    parser.add_argument("--delay", type=times.span, metavar="SPAN", help="its jobs are due so much later")
    parser.add_argument("--attempts", type=int, metavar="N", help="1 to 100")
    parser.add_argument("--timeout", type=times.span, metavar="SPAN", help="1s to 24h of one attempt")
    parser.add_argument(
        "--unordered",
        dest="ordered",
        action="store_false",
        default=None,
        help="without the event's ordering key",
    )
    return parser


def _given(args: Args) -> dict[str, Any]:
    """What was said, by the names of the API."""
    said = {
        "enabled": args.enabled,
        "contains": args.contains,
        "priority": args.priority,
        "delayMs": _ms(args.delay),
        "maxAttempts": args.attempts,
        "timeoutMs": _ms(args.timeout),
        "ordered": args.ordered,
    }
    return {name: value for name, value in said.items() if value is not None}


def _ms(span: timedelta | None) -> int | None:
    return None if span is None else round(span / timedelta(milliseconds=1))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise ArgumentTypeError("this is no JSON") from None
