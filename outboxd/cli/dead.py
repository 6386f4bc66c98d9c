"""`outboxd dead`: what failed for good, and what to do with it."""

from typing import TYPE_CHECKING, Any

from outboxd.cli import tenancy, times
from outboxd.cli.confirm import confirm
from outboxd.cli.parser import Args, Noun, Nouns, Parser, between, listed, owned, risky
from outboxd.cli.reply import Record, Rows
from outboxd.errors import ConfigError

if TYPE_CHECKING:
    from uuid import UUID

    from outboxd.db.pool import Database
    from outboxd.model import Caller
    from outboxd.store.mending import Bulk
    from outboxd.store.overview import Group

COLUMNS = (
    "id",
    "queue",
    "handler",
    "attempts",
    "failedAtEpoch",
    "lastError.classification",
    "lastError.reason",
)
_GROUPS = ("queue", "class", "status", "jobs", "lastAtEpoch", "errorHead", "sampleJob")


def add(nouns: Nouns) -> None:
    noun = nouns.noun("dead", "dead letters: what failed for good")
    parser = _filters(listed(noun.verb("list", "newest first", every)))
    parser.add_argument("--by-error", action="store_true", help="how many of each class, status and text")
    parser = _bulk(noun, "retry", "back to their queues, staggered", retry)
    parser.add_argument("--rate", type=float, default=10, metavar="N", help="due N a second (10); 0: at once")
    _bulk(noun, "discard", "cancelled", discard)
    _bulk(noun, "purge", "let go: they stay failed and cannot be retried", purge)


async def every(args: Args, db: "Database") -> Rows:
    from outboxd.api import job_views
    from outboxd.store import job_lists
    from outboxd.store.job_lists import JobFilter

    async with db.connection() as conn:
        who = await tenancy.caller(conn)
        project = await tenancy.project(conn, who, args.project) if args.project else None
        if args.by_error:
            return await _grouped(args, conn, who, project.id if project else None)
        where = JobFilter(
            project=project.id if project else None,
            states=["failed"],
            queue=args.queue,
            handler=args.handler,
            classification=args.classification,
            since=args.since,
            until=args.until,
        )
        found = await job_lists.page(conn, who, where, after=None, offset=0, limit=args.limit)
    return Rows(name="jobs", columns=COLUMNS, rows=[job_views.entry(job) for job in found.jobs])


async def _grouped(args: Args, conn: "tenancy.Conn", who: "Caller", project: "UUID | None") -> Rows:
    from outboxd.store import overview

    found = await overview.dead(
        conn,
        who,
        project=project,
        queue=args.queue,
        handler=args.handler,
        class_=args.classification,
        since=args.since,
        until=args.until,
        limit=args.limit,
    )
    return Rows(name="groups", columns=_GROUPS, rows=[_group(each) for each in found])


def _group(group: "Group") -> dict[str, Any]:
    from outboxd.model import epoch

    return {
        "queue": group.queue,
        "handler": group.handler,
        "class": group.class_,
        "status": group.status,
        "errorHead": group.head,
        "jobs": group.jobs,
        "firstAtEpoch": epoch(group.first_at),
        "lastAtEpoch": epoch(group.last_at),
        "sampleJob": group.sample,
    }


async def retry(args: Args, db: "Database") -> Record:
    from outboxd.store import mending

    async def redrive(
        conn: "tenancy.Conn",
        who: "Caller",
        chosen: mending.Filter,
        *,
        limit: int,
        dry_run: bool,
        reason: str | None,
    ) -> "Bulk":
        return await mending.redrive(
            conn, who, chosen, limit=limit, rate=args.rate, dry_run=dry_run, reason=reason
        )

    return await _done(args, db, redrive, "Retry")


async def discard(args: Args, db: "Database") -> Record:
    from outboxd.store import mending

    return await _done(args, db, mending.cancel_many, "Cancel")


async def purge(args: Args, db: "Database") -> Record:
    from outboxd.store import mending

    return await _done(args, db, mending.purge, "Purge")


async def _done(args: Args, db: "Database", verb: Any, word: str) -> Record:
    """A dry run first, so that whoever is asked knows how many it is about."""
    async with db.transaction() as conn:
        who = await tenancy.caller(conn)
        chosen = await _chosen(args, conn, who)
        if args.dry_run:
            return Record(
                fields=await verb(conn, who, chosen, limit=args.limit, dry_run=True, reason=args.reason)
            )
    if not args.yes:
        async with db.transaction() as conn:
            would = await verb(conn, who, chosen, limit=args.limit, dry_run=True, reason=args.reason)
        confirm(args, f"{word} {would.affected:,} of {would.matched:,} dead letters?")
    async with db.transaction() as conn:
        return Record(
            fields=await verb(conn, who, chosen, limit=args.limit, dry_run=False, reason=args.reason)
        )


async def _chosen(args: Args, conn: "tenancy.Conn", who: "Caller") -> dict[str, Any]:
    project = await tenancy.project(conn, who, args.project) if args.project else None
    said = {
        "projectId": str(project.id) if project else None,
        "queue": args.queue,
        "handler": args.handler,
        "classification": [args.classification] if args.classification else None,
        "since": args.since.isoformat() if args.since else None,
        "until": args.until.isoformat() if args.until else None,
    }
    chosen: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    if not chosen and not args.all:
        raise ConfigError(["say which: a filter (see --help), or --all"])
    return {**chosen, "status": ["failed"]}


def _bulk(noun: Noun, name: str, text: str, run: Any) -> Parser:
    parser = risky(_filters(noun.verb(name, text, run)))
    parser.add_argument("--all", action="store_true", help="every dead letter; needed without a filter")
    parser.add_argument("--limit", type=between(1, 10_000), default=1000, help="at most so many (1000)")
    parser.add_argument("--reason", help="for the trail")
    return parser


def _filters(parser: Parser) -> Parser:
    parser.add_argument("--queue", help="of this queue")
    parser.add_argument("--handler", help="of this handler")
    parser.add_argument("--class", dest="classification", help="of the failure")
    parser.add_argument("--since", type=times.past, metavar="WHEN", help="failed since (list: made since)")
    parser.add_argument("--until", type=times.past, metavar="WHEN", help="failed before (list: made before)")
    return owned(parser, ["project"])
