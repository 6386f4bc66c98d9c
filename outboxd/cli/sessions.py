"""`outboxd sessions`"""

from typing import TYPE_CHECKING, Any

from outboxd.cli import tenancy, times
from outboxd.cli.parser import Args, Nouns, listed, owned
from outboxd.cli.reply import Page, Record, Rows
from outboxd.errors import NotFound

if TYPE_CHECKING:
    from uuid import UUID

    from outboxd.db.pool import Database
    from outboxd.model import Caller
    from outboxd.model.sessions import Session

COLUMNS = (
    "id",
    "generationStatus",
    "platformSource",
    "agentType",
    "contentSessionId",
    "projectId",
    "startedAtEpoch",
    "endedAtEpoch",
)
_JOBS = (
    "id",
    "status",
    "queue",
    "handler",
    "attempts",
    "runAtEpoch",
    "lastError.classification",
    "lastError.reason",
)
_MOST = 50


def add(nouns: Nouns) -> None:
    noun = nouns.noun("sessions", "runs of agents")
    parser = owned(listed(noun.verb("list", "sessions, newest start first", every)), ["project"])
    parser.add_argument("--platform", metavar="NAME", help="of this platform")
    parser.add_argument("--content", metavar="ID", help="with this content session id")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--open", dest="open", action="store_const", const=True, help="not ended")
    which.add_argument("--ended", dest="open", action="store_const", const=False, help="only ended ones")
    parser.add_argument("--since", type=times.past, metavar="WHEN", help="started since")
    parser.add_argument("--until", type=times.past, metavar="WHEN", help="started before")
    parser = noun.verb("show", "one session, how it fares, and its newest jobs", show)
    parser.add_argument("session", metavar="ID", help="which")
    parser.add_argument("--metadata", action="store_true", help="its metadata as well")
    parser = noun.verb("end", "ends it, and has it summarised if there is something new", end)
    parser.add_argument("session", metavar="ID", help="which")
    parser.add_argument("--reason", metavar="TEXT", help="for the trail, at most 500 characters")


async def every(args: Args, db: "Database") -> Rows:
    from outboxd.api.wire import platform_of
    from outboxd.store import sessions
    from outboxd.store.sessions import SessionFilter

    async with db.connection() as conn:
        who = await tenancy.caller(conn)
        project = await tenancy.project(conn, who, args.project) if args.project else None
        where = SessionFilter(
            project=project.id if project else None,
            content=args.content,
            platform=platform_of(args.platform),
            open=args.open,
            since=args.since,
            until=args.until,
        )
        found = await sessions.listed(conn, who, where, after=None, limit=args.limit)
    return Rows(name="sessions", columns=COLUMNS, rows=found)


async def show(args: Args, db: "Database") -> Page:
    from outboxd.api import job_views
    from outboxd.store import job_lists
    from outboxd.store.job_lists import JobFilter

    session = tenancy.uuid(args.session, "session")
    async with db.connection() as conn:
        who = await tenancy.caller(conn)
        found = await _found(conn, who, session)
        where = JobFilter(session=session)
        page = await job_lists.page(conn, who, where, after=None, offset=0, limit=_MOST)
    fields = _shown(found, metadata=args.metadata)
    jobs = [job_views.entry(job) for job in page.jobs]
    return Page(
        parts=(("", Record(fields=fields)), ("jobs", Rows(name="jobs", columns=_JOBS, rows=jobs))),
        document={"session": fields, "jobs": jobs},
    )


async def end(args: Args, db: "Database") -> Record:
    from outboxd.store import sessions

    session = tenancy.uuid(args.session, "session")
    async with db.transaction() as conn:
        who = await tenancy.caller(conn)
        ended = await sessions.end(conn, who, session, args.reason)
        found = await _found(conn, who, session)
    fields = {"id": session, "endedAtEpoch": found.ended_at_epoch, "endCount": found.end_count}
    return Record(fields={**fields, "ended": ended.ended, "jobId": ended.job_id})


async def _found(conn: "tenancy.Conn", who: "Caller", session: "UUID") -> "Session":
    from outboxd.store import sessions

    found = await sessions.get(conn, who, session)
    if found is None:
        raise NotFound(f"no session {session}")
    return found


def _shown(session: "Session", *, metadata: bool) -> dict[str, Any]:
    import msgspec

    fields: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(session))
    return {name: value for name, value in fields.items() if metadata or name != "metadata"}
