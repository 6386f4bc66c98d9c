"""`outboxd endpoints`"""

import json
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from outboxd.cli import endpoint_orders, tenancy, times
from outboxd.cli.confirm import confirm
from outboxd.cli.parser import Args, Nouns, Parser, listed, owned, risky
from outboxd.cli.reply import Record, Rows
from outboxd.errors import NotFound

if TYPE_CHECKING:
    from outboxd.api.endpoint_wire import EndpointIn
    from outboxd.config import Config
    from outboxd.model import Caller
    from outboxd.store.endpoints import Plan, Stored

COLUMNS = (
    "id",
    "uid",
    "url",
    "types",
    "health.state",
    "health.queued",
    "health.lastStatus",
    "health.closedUntilEpoch",
    "projectId",
)
UNFOLDED = ("endpoint", "health")
_NAMED = "ID|uid:UID"


def add(nouns: Nouns) -> None:
    noun = nouns.noun("endpoints", "where events are sent: webhooks")
    owned(listed(noun.verb("list", "newest first", every, needs="config")), ["project"])
    _one(noun.verb("show", "one endpoint, and how it fares", show, needs="config"))
    parser = noun.verb("create", "its secret is shown this once", create, needs="config")
    parser.add_argument("url", type=_url, help="https://…; http where OUTBOXD_EGRESS_HTTP allows it")
    parser.add_argument("--project", metavar="ID|NAME", required=True, help="whose events")
    _settings(owned(parser, ["team"]))
    endpoint_orders.add(noun)
    _one(risky(noun.verb("delete", "gone, with its secrets; what waits is not sent", delete, needs="config")))


async def every(args: Args, config: "Config") -> Rows:
    from outboxd.cli import database
    from outboxd.store import endpoints

    keys = database.seal_keys(config)
    async with database.opened(config) as db, db.connection() as conn:
        who = await tenancy.caller(conn)
        project = await tenancy.project(conn, who, args.project) if args.project else None
        of = project.id if project else None
        found = await endpoints.listed(conn, who, keys, project=of, limit=args.limit)
    return Rows(name="endpoints", columns=COLUMNS, rows=found)


async def show(args: Args, config: "Config") -> Record:
    from outboxd.cli import database

    async with database.opened(config) as db, db.connection() as conn:
        one = await found(args, config, conn, await tenancy.caller(conn))
    return Record(fields=one.endpoint, unfolded=UNFOLDED)


async def create(args: Args, config: "Config") -> Record:
    from outboxd.api import endpoint_signing, endpoint_wire
    from outboxd.cli import database
    from outboxd.store import endpoints
    from outboxd.store.ids import Mint

    keys, made, given = database.seal_keys(config), Mint()(), _given(args)
    signs = endpoint_signing.missing(endpoint_wire.whole(given)["signing"], (), made, keys)
    plan = _plan(given, None)
    async with database.opened(config) as db, db.transaction() as conn:
        who = await tenancy.caller(conn)
        _, project = await tenancy.scope(conn, who, args)
        await endpoints.open_one(conn, who, made, project, plan, signs.sealed)
        stored = await endpoints.get(conn, who, str(made), keys)
    said = endpoint_signing.said(stored.endpoint if stored else None, signs)
    return Record(fields=said, unfolded=UNFOLDED)


async def delete(args: Args, config: "Config") -> Record:
    from outboxd.cli import database
    from outboxd.store import endpoints

    async with database.opened(config) as db:
        async with db.connection() as conn:
            endpoint = (await found(args, config, conn, await tenancy.caller(conn))).endpoint
        if not args.dry_run:
            confirm(args, f"Delete the endpoint {endpoint.id} ({endpoint.url})?")
            async with db.transaction() as conn:
                await endpoints.remove(conn, await tenancy.caller(conn), endpoint.id)
    return Record(fields={"id": endpoint.id, "url": endpoint.url, "deleted": not args.dry_run})


async def found(args: Args, config: "Config", conn: "tenancy.Conn", who: "Caller") -> "Stored":
    """Raises NotFound, also for a uid that several projects have."""
    from outboxd.cli import database
    from outboxd.store import endpoints

    project = await tenancy.project(conn, who, args.project) if args.project else None
    of = project.id if project else None
    stored = await endpoints.get(conn, who, args.endpoint, database.seal_keys(config), project=of)
    if stored is None:
        raise NotFound(f"no endpoint {args.endpoint}, or more than one: name it by its id")
    return stored


def _plan(given: "EndpointIn", known: "Stored | None") -> "Plan":
    """As the API would store it. Raises Invalid."""
    from outboxd.api import endpoint_wire
    from outboxd.store.endpoints import Plan

    values = endpoint_wire.whole(given, known.endpoint if known else None)
    return Plan(
        fields=endpoint_wire.columns(values),
        queue=endpoint_wire.queue(values),
        headers=known.sealed_headers if known else None,
    )


def _given(args: Args) -> "EndpointIn":
    """What was said, as a client of the API would post it. Raises Invalid."""
    import msgspec

    from outboxd.api.endpoint_wire import EndpointIn
    from outboxd.errors import Invalid

    said = {
        "url": args.url,
        "uid": args.uid,
        "types": args.type,
        "contains": args.contains,
        "excludes": args.excludes,
        "ordering": args.ordering,
        "format": args.format,
        "signing": args.signing,
        "disableAfterHours": args.disable_after_hours,
        "onDead": args.on_dead,
        "concurrency": args.concurrency,
        "ratePerSecond": args.rate,
        "timeoutMs": round(args.timeout.total_seconds() * 1000) if args.timeout else None,
        "retrySchedule": args.retry_schedule,
        "description": args.description,
    }
    try:
        posted = msgspec.json.encode({name: value for name, value in said.items() if value is not None})
        return msgspec.json.decode(posted, type=EndpointIn)
    except msgspec.ValidationError as wrong:
        raise Invalid(str(wrong)) from None


def _one(parser: Parser) -> Parser:
    parser.add_argument("endpoint", metavar=_NAMED, help="which")
    return owned(parser, ["project"])


def _settings(parser: Parser) -> None:
    parser.add_argument("--uid", help="a name of yours, unique in the project")
    parser.add_argument("--type", action="append", metavar="PATTERN", help="a type, a.b.* or * (all)")
    parser.add_argument("--contains", type=_json, metavar="JSON", help="only payloads that contain this")
    parser.add_argument("--excludes", type=_json, metavar="JSON", help="no payloads that contain this")
    parser.add_argument("--ordering", choices=("none", "key", "endpoint"), help="FIFO of what (none)")
    parser.add_argument("--on-dead", choices=("advance", "block"), help="when one fails for good (advance)")
    parser.add_argument("--concurrency", type=int, metavar="N", help="deliveries at once (8)")
    parser.add_argument("--rate", type=float, metavar="N", help="deliveries a second (no limit)")
    parser.add_argument("--timeout", type=times.span, metavar="SPAN", help="of one attempt (15s)")
    parser.add_argument("--retry-schedule", type=_seconds, metavar="S,S", help="seconds before each attempt")
    parser.add_argument("--format", choices=("standard", "ce-structured", "ce-binary"), help="of the request")
    parser.add_argument("--signing", choices=("v1", "v1+v1a", "v1a"), help="stock verifiers know v1 (v1)")
    parser.add_argument("--disable-after-hours", type=int, metavar="N", help="of failures; 0 is never (120)")
    parser.add_argument("--description", help="for people")


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.fragment:
        raise ArgumentTypeError(f"{text!r} is no http(s) URL without user and fragment")
    return text


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise ArgumentTypeError("this is no JSON") from None


def _seconds(text: str) -> list[int]:
    try:
        return [int(each) for each in text.split(",")]
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no list of seconds, such as 0,5,300") from None
