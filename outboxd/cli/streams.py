"""`outboxd streams`"""

from typing import TYPE_CHECKING

from outboxd.cli import confirm, tenancy
from outboxd.cli.parser import Args, Nouns, listed, risky
from outboxd.cli.reply import Rows
from outboxd.errors import ConfigError

if TYPE_CHECKING:
    from outboxd.db.pool import Database

COLUMNS = ("projectId", "epoch", "head", "floor", "pending", "oldestPendingAge", "sequencedAtEpoch")
_ALL = 10_000


def add(nouns: Nouns) -> None:
    noun = nouns.noun("streams", "where the feeds of projects stand")
    listed(noun.verb("list", "head, floor, what waits for its number; most behind first", every))
    text = "a new epoch: every subscriber is told, and begins anew"
    parser = risky(noun.verb("reset", text, reset))
    parser.add_argument("project", nargs="?", metavar="ID|NAME", help="which")
    parser.add_argument("--all", action="store_true", help="of every project, after a lossy failover")


async def every(args: Args, db: "Database") -> Rows:
    from outboxd.store import views

    async with db.connection() as conn:
        order = "pending desc, project_id"
        found = await views.rows(conn, "stream_lag", order=order, limit=args.limit)
    return Rows(name="streams", columns=COLUMNS, rows=found)


async def reset(args: Args, db: "Database") -> Rows:
    from outboxd.store import feed, tenants

    if bool(args.project) == args.all:
        raise ConfigError(["name a project, or say --all"])
    async with db.connection() as conn:
        who = await tenancy.caller(conn)
        if args.all:
            chosen = await tenants.projects(conn, who, limit=_ALL)
        else:
            chosen = [await tenancy.project(conn, who, args.project)]
        if args.dry_run:
            would = [{"projectId": each.id, "position": None} for each in chosen]
            return Rows(name="streams", columns=("projectId", "position"), rows=would)
        confirm.confirm(args, f"No position of {len(chosen)} streams will lead on.")
        told = [{"projectId": each.id, "position": await feed.reset(conn, who, each.id)} for each in chosen]
    return Rows(name="streams", columns=("projectId", "position"), rows=told)
