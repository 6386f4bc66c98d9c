"""`outboxd audit`"""

from typing import TYPE_CHECKING
from uuid import UUID

from outboxd.cli import tenancy, times
from outboxd.cli.parser import Args, Nouns, listed, owned
from outboxd.cli.reply import Rows

if TYPE_CHECKING:
    from outboxd.db.pool import Database

COLUMNS = ("atEpoch", "action", "resourceType", "resourceId", "actorId", "projectId", "requestId")


def add(nouns: Nouns) -> None:
    text = "who did what, and what followed; newest first"
    parser = owned(listed(nouns.command("audit", text, every)))
    parser.add_argument("--action", help="exact, or a prefix as 'api_key.*'")
    parser.add_argument("--resource", metavar="ID", help="what it was done to")
    parser.add_argument("--type", help="of what it was done to, such as api_key")
    parser.add_argument("--actor", help="who, such as key:… or cli:…")
    parser.add_argument("--key", metavar="ID", help="with this key")
    parser.add_argument("--request", metavar="ID", help="in this request")
    parser.add_argument("--event", metavar="ID", help="the whole story of this event")
    parser.add_argument("--job", metavar="ID", help="the whole story of this job")
    parser.add_argument("--since", type=times.past, metavar="TIME", help="from then on, such as 2h")
    parser.add_argument("--until", type=times.past, metavar="TIME", help="before then")


async def every(args: Args, db: "Database") -> Rows:
    import msgspec

    from outboxd.store import trail

    async with db.connection() as conn:
        who = await tenancy.caller(conn)
        team, project = await tenancy.scope(conn, who, args)
        if team is not None:
            who = msgspec.structs.replace(who, team_id=team, everywhere=False)
        where = trail.TrailFilter(
            action=args.action,
            resource_type=args.type,
            resource_id=args.resource,
            actor_id=args.actor,
            api_key_id=_id(args.key, "key"),
            request_id=args.request,
            project_id=project,
            event_id=_id(args.event, "event"),
            job_id=_id(args.job, "job"),
            since=args.since,
            until=args.until,
        )
        found = await trail.page(conn, who, where, after=None, limit=args.limit)
    return Rows(name="entries", columns=COLUMNS, rows=found.entries)


def _id(text: str | None, noun: str) -> UUID | None:
    return None if text is None else tenancy.uuid(text, noun)
