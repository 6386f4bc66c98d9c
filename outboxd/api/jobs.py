"""Reading jobs: lists, one, its attempts, and why it is not running."""

from datetime import timedelta
from uuid import UUID

import msgspec
from msgspec import UNSET, Raw, UnsetType

from outboxd.api import cursors, job_views, queries, tenancy
from outboxd.api import exchange as x
from outboxd.api.exchange import Exchange, Reply
from outboxd.api.reads import note_jobs
from outboxd.errors import InsufficientScope
from outboxd.model.jobs import AttemptPage, JobFull, JobPage, JobReply
from outboxd.store import history, job_lists
from outboxd.store.history import JobRow, Reason
from outboxd.store.job_lists import JobFilter

LIST_QUERY = frozenset(
    [
        "status",
        "source_type",
        "since",
        "until",
        "queue",
        "handler",
        "projectId",
        "classification",
        "eventId",
        "sessionId",
        "requestId",
        "held",
        "include",
        "limit",
        "offset",
        "cursor",
    ]
)
TENANT_QUERY = frozenset(["status", "limit", "offset", "cursor"])
_STATES = ("queued", "processing", "completed", "failed", "cancelled")
_KINDS = ("agent_event", "session_summary", "observation_reindex", "direct")
_DEEPEST = 10_000
_LEAST_AT_ONCE, _MOST_AT_ONCE, _AT_ONCE = 1, 200, 50


class Reasons(msgspec.Struct, frozen=True, kw_only=True):
    reasons: list[Reason]
    """All that apply, the decisive one first."""


async def listed(exchange: Exchange) -> Reply:
    """GET /v1/jobs: newest first, live and finished together"""
    payloads = _wants_payload(exchange)
    where = JobFilter(
        project=await tenancy.asked_project(exchange),
        states=states(exchange),
        queue=queries.text(exchange, "queue", 100),
        handler=queries.text(exchange, "handler", 255),
        kind=queries.choice(exchange, "source_type", _KINDS),
        event=queries.ident(exchange, "eventId"),
        session=queries.ident(exchange, "sessionId"),
        request=queries.text(exchange, "requestId", 64),
        classification=queries.text(exchange, "classification", 64),
        since=queries.time(exchange, "since"),
        until=queries.time(exchange, "until"),
        held=queries.flag(exchange, "held", default=False),
    )
    found = await _page(exchange, "jobs_list", where, payloads=payloads)
    return x.json(msgspec.structs.replace(found, request_id=exchange.request_id))


async def of_team(exchange: Exchange) -> Reply:
    """GET /v1/teams/{id}/jobs: the team's, newest first"""
    team = tenancy.path_id(exchange)
    if team != exchange.team:
        raise await tenancy.refuse(exchange, "Team", team, siblings=False)
    return x.json(await _page(exchange, "team_jobs", JobFilter(states=states(exchange))))


async def of_project(exchange: Exchange) -> Reply:
    """GET /v1/projects/{id}/jobs: the project's, newest first; a sibling of the key's own is unknown here"""
    project = tenancy.path_id(exchange)
    own = exchange.key.project_id if exchange.key else None
    if project is None or (own is not None and project != own):
        raise await tenancy.refuse(exchange, "Project", project, siblings=False)
    await tenancy.need_project(exchange, project)
    where = JobFilter(project=project, states=states(exchange))
    return x.json(await _page(exchange, "project_jobs", where))


async def one(exchange: Exchange) -> Reply:
    """GET /v1/jobs/{id}: one job; `waitSeconds` holds the reply until it has ended"""
    longest = queries.number(exchange, "waitSeconds", 0, 30, 0)
    job = await seen(exchange)
    if longest and job.state in {"queued", "processing"}:
        await exchange.api.waits.until_over({job.id}, timedelta(seconds=longest))
    return x.json(JobReply(generation_job=await full(exchange, job.id)))


async def attempts(exchange: Exchange) -> Reply:
    """GET /v1/jobs/{id}/attempts: the ledger, and what is running now at its end."""
    job = await seen(exchange)
    limit, after = queries.limit(exchange), cursors.read(exchange)
    async with exchange.api.db.connection() as conn:
        found = await history.attempts(
            conn, exchange.caller, job.id, after.int if after is not None else -1, limit + 1
        )
        running = await history.running(conn, job.id) if len(found) <= limit else None
    more = UUID(int=found[limit - 1].no) if len(found) > limit else None
    shown = [*map(history.attempt_of, found[:limit]), *([running] if running else [])]
    return x.json(AttemptPage(job_id=job.id, attempts=shown, next_cursor=cursors.write(exchange, more)))


async def why(exchange: Exchange) -> Reply:
    """GET /v1/jobs/{id}/why: why it is not running"""
    job = await seen(exchange)
    async with exchange.api.db.connection() as conn:
        return x.json(Reasons(reasons=await history.why(conn, job.id)))


async def seen(exchange: Exchange) -> JobRow:
    """The job of the path, if the caller may see it. Raises NotFound."""
    job = tenancy.path_id(exchange)
    if job is not None:
        async with exchange.api.db.connection() as conn:
            found = await history.of_ids(conn, exchange.caller, [job])
        if found:
            return found[0]
    raise await tenancy.refuse(exchange, "Generation job", job, siblings=False)


async def full(exchange: Exchange, job: UUID) -> JobFull:
    async with exchange.api.db.connection() as conn:
        [found] = await history.of_ids(conn, exchange.caller, [job])
        return job_views.full(found, await history.extras(conn, job))


async def _page(exchange: Exchange, mode: str, where: JobFilter, *, payloads: bool = False) -> JobPage:
    limit = _clamped(exchange, "limit", _AT_ONCE, _LEAST_AT_ONCE, _MOST_AT_ONCE)
    offset = _clamped(exchange, "offset", 0, 0, None)
    after = cursors.read(exchange)
    if offset > _DEEPEST or (offset and after is not None):
        raise queries.refused("offset", f"at most {_DEEPEST}, and not with a cursor: use the cursor")
    async with exchange.api.db.connection() as conn:
        page = await job_lists.page(conn, exchange.caller, where, after=after, offset=offset, limit=limit)
        total, exact = await job_lists.total(conn, exchange.caller, where)
        bodies = await history.payloads(conn, [job.id for job in page.jobs]) if payloads else {}
    found = JobPage(
        jobs=[job_views.entry(job, _payload(bodies, job, payloads=payloads)) for job in page.jobs],
        total=total,
        total_exact=UNSET if exact else False,
        limit=limit,
        offset=offset,
        next_cursor=cursors.write(exchange, page.after),
    )
    own = exchange.key.project_id if exchange.key else None
    await note_jobs(exchange, mode, found, project=where.project or own, payloads=payloads)
    return found


def _payload(bodies: dict[UUID, Raw], job: JobRow, *, payloads: bool) -> Raw | UnsetType:
    return bodies.get(job.id, Raw(b"null")) if payloads else UNSET


def _wants_payload(exchange: Exchange) -> bool:
    asked = queries.text(exchange, "include")
    if asked is None:
        return False
    if any(part.strip() != "payload" for part in asked.split(",")):
        raise queries.refused("include", "payload")
    if exchange.key is None or "admin" not in exchange.key.effective:
        raise InsufficientScope("`include=payload` requires admin scope", ("admin",))
    return True


def states(exchange: Exchange) -> list[str] | None:
    """`status` of a list. Raises Invalid."""
    given = queries.text(exchange, "status")
    if given is None:
        return None
    states = [part.strip() for part in given.split(",")]
    if any(state not in _STATES for state in states):
        raise queries.refused("status", f"of {', '.join(_STATES)}")
    return states


def _clamped(exchange: Exchange, name: str, default: int, low: int, high: int | None) -> int:
    """As old clients know it: out of bounds is the bound, and what is no number is not there."""
    given = exchange.query.get(name, "")
    digits = given.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 15:
        return default
    number = max(low, int(given))
    return number if high is None else min(high, number)
