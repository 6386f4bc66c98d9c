"""`outboxd queues`"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from outboxd.cli import changes, tenancy, times
from outboxd.cli.parser import Args, Nouns, between, listed, owned, pair
from outboxd.cli.reply import Record, Rows
from outboxd.errors import ConfigError

if TYPE_CHECKING:
    from uuid import UUID

    from outboxd.db.pool import Database
    from outboxd.model import Caller

COLUMNS = (
    "name", "handler", "due", "later", "running", "failed", "lag", "paused", "concurrency", "workers"
)  # fmt: skip
SETTINGS: dict[str, changes.Kind] = {
    "handler": str,
    "concurrency": int,
    "perWorker": int,
    "leaseSize": int,
    "rate": str,
    "rate.perSecond": float,
    "rate.burst": int,
    "attempts": int,
    "backoff": dict,
    "backoff.baseMs": int,
    "backoff.capMs": int,
    "timeoutMs": int,
    "onDead": str,
}


def add(nouns: Nouns) -> None:
    noun = nouns.noun("queues", "where jobs wait")
    listed(noun.verb("list", "what waits, how late, what runs; most in need first", every))
    parser = owned(noun.verb("pause", "nothing more is claimed; what runs goes on", pause))
    parser.add_argument("queue", help="its name")
    parser.add_argument("--for", dest="span", type=times.span, metavar="SPAN", help="then by itself again")
    parser.add_argument("--reason", help="for whoever asks why")
    owned(noun.verb("resume", "claims go on", resume)).add_argument("queue", help="its name")
    parser = noun.verb("set", "limits; a queue that is new needs handler=NAME", change)
    parser.add_argument("queue", help="its name")
    parser.add_argument(
        "settings",
        metavar="KEY=VALUE",
        type=pair,
        nargs="+",
        help=f"{', '.join(SETTINGS)}; KEY= is the default",
    )
    parser = noun.verb("weigh", "what a project gets of a queue, beside the others", weigh)
    parser.add_argument("queue", help="its name")
    parser.add_argument("project", metavar="ID|NAME", help="which")
    parser.add_argument("weight", type=between(1, 100), metavar="N", help="1 to 100")
    owned(parser, ["team"])


async def every(args: Args, db: "Database") -> Rows:
    from outboxd.store import views

    async with db.connection() as conn:
        found = await views.rows(conn, "queue_depth", order="lag desc, due desc, queue", limit=args.limit)
    # By the names that the API has.
    return Rows(name="queues", columns=COLUMNS, rows=[{"name": each.pop("queue"), **each} for each in found])


async def pause(args: Args, db: "Database") -> Record:
    from outboxd.model import epoch
    from outboxd.store import steering

    until = datetime.now(UTC) + args.span if args.span else None
    async with db.transaction() as conn:
        who = await tenancy.caller(conn)
        project = await _share(args, conn, who)
        await steering.pause(conn, who, args.queue, project=project, until=until, reason=args.reason)
    return Record(fields=_said(args, project, paused=True, untilEpoch=epoch(until) if until else None))


async def resume(args: Args, db: "Database") -> Record:
    from outboxd.store import steering

    async with db.transaction() as conn:
        who = await tenancy.caller(conn)
        project = await _share(args, conn, who)
        was = await steering.resume(conn, who, args.queue, project=project)
    return Record(fields=_said(args, project, paused=False, wasPaused=was))


async def change(args: Args, db: "Database") -> Record:
    from outboxd.store import steering

    wanted = changes.document(args.settings, SETTINGS)
    async with db.transaction() as conn:
        return Record(fields=await steering.configure(conn, await tenancy.caller(conn), args.queue, wanted))


async def weigh(args: Args, db: "Database") -> Record:
    from outboxd.store import steering

    async with db.transaction() as conn:
        who = await tenancy.caller(conn)
        _, project = await tenancy.scope(conn, who, args)
        if project is None:
            raise ConfigError(["a project is needed"])
        await steering.weigh(conn, who, args.queue, project, args.weight)
    return Record(fields=_said(args, project, weight=args.weight))


async def _share(args: Args, conn: "tenancy.Conn", who: "Caller") -> "UUID | None":
    """The project whose share is meant; None: the whole queue."""
    if args.team and not args.project:
        raise ConfigError(["--team helps to find a --project: name one, or neither for the whole queue"])
    return (await tenancy.scope(conn, who, args))[1]


def _said(args: Args, project: "UUID | None", **more: Any) -> dict[str, Any]:
    return {"queue": args.queue, "projectId": project, **more}
