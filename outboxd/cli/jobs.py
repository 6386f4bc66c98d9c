"""`outboxd jobs`"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from outboxd.cli import tenancy, times
from outboxd.cli.parser import Args, Nouns, listed, owned
from outboxd.cli.reply import Page, Record, Reply, Rows
from outboxd.errors import Error, NotFound

if TYPE_CHECKING:
    from outboxd.db.pool import Database
    from outboxd.model import Caller
    from outboxd.store.history import JobRow

COLUMNS = (
    "id",
    "status",
    "queue",
    "handler",
    "attempts",
    "maxAttempts",
    "runAtEpoch",
    "createdAtEpoch",
    "lastError.classification",
    "lastError.reason",
)
_ATTEMPTS = (
    "attempt",
    "series",
    "outcome",
    "class",
    "status",
    "startedAtEpoch",
    "durationMs",
    "retryAtEpoch",
    "message",
    "delivery.body",
)
_TIMELINE = ("atEpoch", "action", "actor", "details")
_MOST = 500
_STATES = ("queued", "processing", "completed", "failed", "cancelled")

One = Callable[["tenancy.Conn", "Caller", UUID], Awaitable[dict[str, Any]]]


def add(nouns: Nouns) -> None:
    noun = nouns.noun("jobs", "what is owed, and what became of it")
    parser = owned(listed(noun.verb("list", "jobs, newest first", every)), ["project"])
    parser.add_argument("--status", choices=_STATES, action="append", help="may be given several times")
    parser.add_argument("--queue", help="in this queue")
    parser.add_argument("--handler", help="for this handler")
    parser.add_argument("--class", dest="classification", help="of the last failure")
    parser.add_argument("--event", metavar="ID", help="made by this event")
    parser.add_argument("--session", metavar="ID", help="made in this session")
    parser.add_argument("--held", action="store_true", help="only what waits for a reason")
    parser.add_argument("--since", type=times.past, metavar="WHEN", help="made since")
    parser.add_argument("--until", type=times.past, metavar="WHEN", help="made before")
    noun.verb("show", "one job: its row, attempts and timeline", show).add_argument(
        "job", metavar="ID", help="which"
    )
    noun.verb("why", "why it is not running, the decisive reason first", why).add_argument(
        "job", metavar="ID", help="which"
    )
    for name, text, run in (
        ("retry", "run again, due now", retry),
        ("cancel", "end them, whatever they do", cancel),
    ):
        parser = noun.verb(name, text, run)
        parser.add_argument("jobs", metavar="ID", nargs="+", help="which")
        parser.add_argument("--reason", help="for the trail")
    parser = noun.verb("snooze", "put queued jobs off", snooze)
    parser.add_argument("jobs", metavar="ID", nargs="+", help="which")
    parser.add_argument("--until", type=times.future, required=True, metavar="WHEN", help="2h, or a time")
    parser.add_argument("--reason", help="for whoever asks why")


async def every(args: Args, db: "Database") -> Rows:
    from outboxd.api import job_views
    from outboxd.store import job_lists
    from outboxd.store.job_lists import JobFilter

    async with db.connection() as conn:
        who = await tenancy.caller(conn)
        project = await tenancy.project(conn, who, args.project) if args.project else None
        where = JobFilter(
            project=project.id if project else None,
            states=args.status,
            queue=args.queue,
            handler=args.handler,
            event=tenancy.uuid(args.event, "event") if args.event else None,
            session=tenancy.uuid(args.session, "session") if args.session else None,
            classification=args.classification,
            since=args.since,
            until=args.until,
            held=args.held,
        )
        found = await job_lists.page(conn, who, where, after=None, offset=0, limit=args.limit)
    return Rows(name="jobs", columns=COLUMNS, rows=[job_views.entry(job) for job in found.jobs])


async def show(args: Args, db: "Database") -> Page:
    from outboxd.api import job_views
    from outboxd.store import history, views

    job = tenancy.uuid(args.job, "job")
    async with db.connection() as conn:
        who = await tenancy.caller(conn)
        full = job_views.full(await _job(conn, who, job), await history.extras(conn, job))
        attempts: list[Any] = [*await history.attempts(conn, who, job, 0, _MOST)]
        attempts += [each for each in [await history.running(conn, job)] if each]
        timeline = await views.rows(conn, "audit_trail", order="at", limit=_MOST, equal={"job_id": job})
    return Page(
        parts=(
            ("", Record(fields=full)),
            ("attempts", Rows(name="attempts", columns=_ATTEMPTS, rows=attempts)),
            ("timeline", Rows(name="timeline", columns=_TIMELINE, rows=timeline)),
        ),
        document={"generationJob": full, "attempts": attempts, "timeline": timeline},
    )


async def why(args: Args, db: "Database") -> Reply:
    from outboxd.store import history

    async with db.connection() as conn:
        found = await history.why(conn, tenancy.uuid(args.job, "job"))
    unknown = any(each.reason == "not_found" for each in found)
    return Rows(
        name="reasons", columns=("reason", "detail", "untilEpoch"), rows=found, exit=1 if unknown else 0
    )


async def retry(args: Args, db: "Database") -> Reply:
    from outboxd.store import mending

    async def one(conn: "tenancy.Conn", who: "Caller", job: UUID) -> dict[str, Any]:
        moved = await mending.retry(conn, who, job, args.reason)
        return {
            "before": moved.before,
            "status": moved.after,
            "retriedCount": moved.series,
            "alreadyQueued": moved.before == "queued",
        }

    return await _each(args, db, one)


async def cancel(args: Args, db: "Database") -> Reply:
    from outboxd.store import mending

    async def one(conn: "tenancy.Conn", who: "Caller", job: UUID) -> dict[str, Any]:
        moved = await mending.cancel(conn, who, job, args.reason)
        return {
            "before": moved.before,
            "status": moved.after,
            "alreadyCancelled": moved.before == "cancelled",
        }

    return await _each(args, db, one)


async def snooze(args: Args, db: "Database") -> Reply:
    from outboxd.model import epoch
    from outboxd.store import mending

    async def one(conn: "tenancy.Conn", who: "Caller", job: UUID) -> dict[str, Any]:
        until = await mending.snooze(conn, who, job, args.until, args.reason)
        return {"status": "queued", "runAtEpoch": epoch(until)}

    return await _each(args, db, one)


async def _each(args: Args, db: "Database", one: One) -> Reply:
    """Every job for itself: what one is refused stops no other. A single one is refused as usual."""
    done: list[dict[str, Any]] = []
    for text in args.jobs:
        try:
            job = tenancy.uuid(text, "job")
            async with db.transaction() as conn:
                done.append({"id": job, **await one(conn, await tenancy.caller(conn), job)})
        except Error as refused:
            if len(args.jobs) == 1:
                raise
            done.append({"id": text, "error": refused.code, "message": refused.detail})
    names = dict.fromkeys(name for row in done for name in row)
    return Rows(name="jobs", columns=tuple(names), rows=done, exit=int(any("error" in row for row in done)))


async def _job(conn: "tenancy.Conn", who: "Caller", job: UUID) -> "JobRow":
    from outboxd.store import history

    found = await history.of_ids(conn, who, [job])
    if not found:
        raise NotFound(f"no job {job}")
    return found[0]
