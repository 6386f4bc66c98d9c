"""`outboxd endpoints enable|disable|test|rotate|deliveries|redeliver|recover`: what is done with one."""

import json
from argparse import ArgumentTypeError
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from outboxd.cli import tenancy, times
from outboxd.cli.confirm import confirm
from outboxd.cli.parser import Args, Noun, Parser, listed, owned, risky
from outboxd.cli.reply import Record, Rows

if TYPE_CHECKING:
    from uuid import UUID

    from outboxd.config import Config
    from outboxd.store.endpoint_orders import Recovery

DELIVERIES = (
    "id", "status", "outcome", "attempts", "maxAttempts", "runAtEpoch", "createdAtEpoch",
    "lastError.classification", "lastError.reason",
    "sourceId",
)  # fmt: skip
_NAMED = "ID|uid:UID"
_STATES = ("queued", "processing", "completed", "failed", "cancelled")


def add(noun: Noun) -> None:
    _one(noun.verb("enable", "deliveries go on, one at a time until one succeeds", enable, needs="config"))
    _one(
        noun.verb(
            "disable", "no deliveries are made any more, those that wait are held", disable, needs="config"
        )
    )
    parser = _one(
        noun.verb("test", "one attempt now, signed as any other; nothing is stored", test, needs="config")
    )
    parser.add_argument("--type", default="test.ping", help="of the event that is made up (test.ping)")
    parser.add_argument("--payload", type=_json, metavar="JSON", help='its payload ({"test": true})')
    text = "a new secret, shown this once; the old ones of its kind sign too for a while"
    parser = _one(noun.verb("rotate", text, rotate, needs="config"))
    parser.add_argument("--kind", choices=("hmac", "ed25519"), default="hmac", help="of the secret (hmac)")
    parser.add_argument(
        "--overlap", type=times.span, default=timedelta(days=1), metavar="SPAN", help="at most 7d (24h)"
    )
    parser = listed(noun.verb("deliveries", "newest first", deliveries, needs="config"))
    _one(parser)
    parser.add_argument("--status", choices=_STATES, action="append", help="may be given several times")
    parser.add_argument("--event", metavar="ID", help="of this event")
    parser.add_argument("--class", dest="last_class", help="of the last attempt")
    parser.add_argument("--since", type=times.past, metavar="WHEN", help="made since")
    parser.add_argument("--until", type=times.past, metavar="WHEN", help="made before")
    parser = _one(noun.verb("redeliver", "the same event once more", redeliver, needs="config"))
    parser.add_argument("job", metavar="JOB", help="a delivery of its")
    text = "deliver what it was owed in that time"
    parser = _one(risky(noun.verb("recover", text, recover, needs="config")))
    parser.add_argument("--since", type=times.past, metavar="WHEN", required=True, help="2h, or a time")
    parser.add_argument("--until", type=times.past, metavar="WHEN", help="(now)")
    parser.add_argument("--all", action="store_true", help="also what was delivered")
    parser.add_argument("--type", action="append", metavar="PATTERN", help="only these: a type, a.b.* or *")
    parser.add_argument("--rate", type=float, default=10.0, metavar="N", help="deliveries a second (10)")


async def enable(args: Args, config: "Config") -> Record:
    return await _switched(args, config, on=True)


async def disable(args: Args, config: "Config") -> Record:
    return await _switched(args, config, on=False)


async def test(args: Args, config: "Config") -> Record:
    """Exit 1 unless the target took it."""
    import msgspec
    from msgspec import Raw

    from outboxd.cli import database, endpoints
    from outboxd.egress import Egress
    from outboxd.errors import NotFound
    from outboxd.handlers import probing
    from outboxd.store import audit
    from outboxd.store import deliveries as sending

    settings = msgspec.structs.replace(config, secret_keys=database.seal_keys(config))
    async with database.opened(config) as db:
        async with db.transaction() as conn:
            seen = (await endpoints.found(args, config, conn, await tenancy.caller(conn))).endpoint
            who = msgspec.structs.replace(await tenancy.caller(conn), team_id=seen.team_id)
            await audit.record(
                conn, who, "endpoint.tested", "endpoint", str(seen.id), project=seen.project_id
            )
            target = await sending.read(conn, f"endpoint:{seen.id}", None, 1)
        if target is None:
            raise NotFound(f"no endpoint {args.endpoint}")
        payload = Raw(msgspec.json.encode({"test": True} if args.payload is None else args.payload))
        async with Egress.open(settings) as egress:
            probe = probing.Probe(type=args.type, payload=payload)
            found = await probing.send(egress, settings, target, probe)
    told = {"outcome": "completed" if found.ok else "failed", "class": found.class_, "status": found.status}
    shown = {} if found.body is None else {"body": found.body[:4096]}
    return Record(fields={**told, "durationMs": found.duration_ms, **shown}, exit=0 if found.ok else 1)


async def rotate(args: Args, config: "Config") -> Record:
    from outboxd.api import endpoint_signing
    from outboxd.cli import database
    from outboxd.handlers import signing
    from outboxd.model import epoch
    from outboxd.store import endpoint_keys

    keys = database.seal_keys(config)
    async with database.opened(config) as db, db.transaction() as conn:
        endpoint, who = await _named(args, config, conn), await tenancy.caller(conn)
        made = endpoint_signing.sealed([signing.make(args.kind)], endpoint, keys)
        until = await endpoint_keys.rotate(conn, who, endpoint, made.sealed[0], args.overlap)
    said = {"kind": args.kind, "secret": made.secret, "publicKey": made.public_key}
    fields = {name: value for name, value in said.items() if isinstance(value, str)}
    return Record(fields={"id": endpoint, **fields, "oldUntilEpoch": epoch(until)})


async def deliveries(args: Args, config: "Config") -> Rows:
    from outboxd.api import job_views
    from outboxd.cli import database
    from outboxd.store import job_lists
    from outboxd.store.job_lists import JobFilter

    async with database.opened(config) as db, db.connection() as conn:
        endpoint = await _named(args, config, conn)
        where = JobFilter(
            endpoint=endpoint,
            queue=f"endpoint:{endpoint}",
            states=args.status,
            event=tenancy.uuid(args.event, "event") if args.event else None,
            last_class=args.last_class,
            since=args.since,
            until=args.until,
        )
        who = await tenancy.caller(conn)
        found = await job_lists.page(conn, who, where, after=None, offset=0, limit=args.limit)
    return Rows(name="deliveries", columns=DELIVERIES, rows=[job_views.entry(job) for job in found.jobs])


async def redeliver(args: Args, config: "Config") -> Record:
    from outboxd.cli import database
    from outboxd.store import endpoint_orders

    async with database.opened(config) as db, db.transaction() as conn:
        endpoint = await _named(args, config, conn)
        who, job = await tenancy.caller(conn), tenancy.uuid(args.job, "job")
        found = await endpoint_orders.redeliver(conn, who, endpoint, job)
    return Record(fields={"job": found.job_id, "made": found.made})


async def recover(args: Args, config: "Config") -> Record:
    from outboxd.cli import database
    from outboxd.store import endpoint_orders
    from outboxd.store.endpoint_orders import Span

    span = Span(
        since=args.since,
        until=args.until,
        only="all" if args.all else "undelivered",
        types=args.type,
        rate=args.rate,
    )
    async with database.opened(config) as db:
        async with db.transaction() as conn:
            endpoint, who = await _named(args, config, conn), await tenancy.caller(conn)
            would = await endpoint_orders.recover(conn, who, endpoint, span, dry_run=True)
        if args.dry_run:
            return Record(fields=_recovery(would))
        least = "" if would.exact else "at least "
        confirm(args, f"Send {least}{would.matched or 0:,} events to {endpoint} again?")
        async with db.transaction() as conn:
            found = await endpoint_orders.recover(conn, who, endpoint, span, dry_run=False)
    return Record(fields=_recovery(found))


def _recovery(found: "Recovery") -> dict[str, Any]:
    from outboxd.model import epoch

    if found.job_id is not None:
        return {"job": found.job_id}
    ends = {"oldestEpoch": found.oldest, "newestEpoch": found.newest}
    counted = {"matched": found.matched, "exact": found.exact}
    return {**counted, **{name: None if at is None else epoch(at) for name, at in ends.items()}}


async def _switched(args: Args, config: "Config", *, on: bool) -> Record:
    from outboxd.cli import database, endpoints
    from outboxd.store import endpoint_orders

    async with database.opened(config) as db, db.transaction() as conn:
        endpoint = await _named(args, config, conn)
        who = await tenancy.caller(conn)
        await endpoint_orders.switch(conn, who, endpoint, on=on)
        one = await endpoints.found(args, config, conn, who)
        return Record(fields=one.endpoint, unfolded=endpoints.UNFOLDED)


async def _named(args: Args, config: "Config", conn: "tenancy.Conn") -> "UUID":
    from outboxd.cli import endpoints

    return (await endpoints.found(args, config, conn, await tenancy.caller(conn))).endpoint.id


def _one(parser: Parser) -> Parser:
    parser.add_argument("endpoint", metavar=_NAMED, help="which")
    return owned(parser, ["project"])


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise ArgumentTypeError("this is no JSON") from None
