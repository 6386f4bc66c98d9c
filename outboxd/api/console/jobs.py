"""Jobs: a list to find one in, and one with everything that is known of it."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
from msgspec import Raw

from outboxd.api import cursors, job_views
from outboxd.api.console import render
from outboxd.api.console.names import names
from outboxd.api.console.visit import Visit, done, go
from outboxd.api.exchange import Reply
from outboxd.db.link import Link
from outboxd.errors import Invalid, NotFound
from outboxd.model import Caller
from outboxd.model.audit import Entry
from outboxd.store import audit, history, job_lists, mending, trail
from outboxd.store.history import JobRow
from outboxd.store.job_lists import JobFilter
from outboxd.store.trail import TrailFilter

STATES = ("queued", "processing", "completed", "failed", "cancelled")
_FILTERS = ("project", "status", "queue", "handler", "event", "session", "request", "since", "held")
_PAGE = 50
_MOST_ATTEMPTS = 200
_FIRST = {"queued": 0, "processing": 1}
_DONE = {
    "retried": "It is queued, and due now.",
    "already": "It was queued already; it is due now.",
    "cancelled": "Cancelled.",
    "gone": "It was cancelled already.",
    "snoozed": "Put off.",
}


async def listed(visit: Visit) -> Reply:
    """GET /console/jobs"""
    named = visit.text("id", 64)
    if named is not None:
        return go(f"/console/jobs/{render.segment(named)}")
    status = visit.choice("status", STATES)
    where = JobFilter(
        project=visit.ident("project"),
        states=None if status is None else [status],
        queue=visit.text("queue", 100),
        handler=visit.text("handler"),
        event=visit.ident("event"),
        session=visit.ident("session"),
        request=visit.text("request", 64),
        since=visit.time("since"),
        held=visit.choice("held", ("1",)) == "1",
    )
    after = cursors.read(visit.exchange)
    async with visit.api.db.connection() as conn:
        page = await job_lists.page(conn, visit.caller, where, after=after, offset=0, limit=_PAGE)
        called = await names(conn, visit.caller)
    return render.page(
        "jobs.html",
        visit=visit,
        section="jobs",
        title="Jobs",
        jobs=page.jobs,
        cursor=cursors.write(visit.exchange, page.after),
        names=called,
        asked=visit.asked(*_FILTERS),
        states=STATES,
    )


async def one(visit: Visit) -> Reply:
    """GET /console/jobs/{id}"""
    return await _page(visit, await _seen(visit), None)


async def payload(visit: Visit) -> Reply:
    """POST /console/jobs/{id}/payload: what it works on, once more clicked for, and in the trail"""
    job = await _seen(visit)

    async def read(conn: Link) -> Raw | None:
        by = _within(visit, job)
        details = {"includePayload": True, "queue": job.queue}
        await audit.record(
            conn, by, "job.payload_read", "job", str(job.id), project=job.project_id, details=details
        )
        return (await history.payloads(conn, [job.id])).get(job.id)

    return await _page(visit, job, await visit.write(read) or Raw(b"null"))


async def retry(visit: Visit) -> Reply:
    """POST /console/jobs/{id}/retry"""
    job, reason = await _seen(visit), visit.text("reason", 500)
    moved = await visit.write(lambda conn: mending.retry(conn, visit.by("jobs:write"), job.id, reason))
    return go(f"/console/jobs/{job.id}", done="already" if moved.before == "queued" else "retried")


async def cancel(visit: Visit) -> Reply:
    """POST /console/jobs/{id}/cancel"""
    job, reason = await _seen(visit), visit.text("reason", 500)
    moved = await visit.write(lambda conn: mending.cancel(conn, visit.by("jobs:write"), job.id, reason))
    return go(f"/console/jobs/{job.id}", done="gone" if moved.before == "cancelled" else "cancelled")


async def snooze(visit: Visit) -> Reply:
    """POST /console/jobs/{id}/snooze"""
    job, span = await _seen(visit), visit.span("for")
    if span is None:
        raise Invalid("for how long? 15m, 2h, 3d")

    until, reason = datetime.now(UTC) + span, visit.text("reason", 500)
    await visit.write(lambda conn: mending.snooze(conn, visit.by("jobs:write"), job.id, until, reason))
    return go(f"/console/jobs/{job.id}", done="snoozed")


async def _page(visit: Visit, job: JobRow, shown: Raw | None) -> Reply:
    async with visit.api.db.connection() as conn:
        why = await history.why(conn, job.id)
        attempts = await history.attempts(conn, visit.caller, job.id, -1, _MOST_ATTEMPTS)
        running = await history.running(conn, job.id)
        extras = await history.extras(conn, job.id)
        story = await trail.page(
            conn, visit.caller, TrailFilter(job_id=job.id), after=None, limit=_MOST_ATTEMPTS
        )
        called = await names(conn, visit.caller)
    return render.page(
        "job.html",
        visit=visit,
        section="jobs",
        title="Job",
        done=done(visit, _DONE),
        job=job_views.full(job, extras),
        why=why,
        attempts=list(reversed([*map(history.attempt_of, attempts), *([running] if running else [])])),
        timeline=sorted(story.entries, key=_when),
        names=called,
        payload=shown,
    )


def _when(entry: Entry) -> tuple[int, int]:
    """What begins stands before what ends, also within a millisecond."""
    return entry.at_epoch, _FIRST.get(entry.action.rpartition(".")[2], len(_FIRST))


async def _seen(visit: Visit) -> JobRow:
    """Raises NotFound, also for one that the caller may not see."""
    job: UUID = visit.part_id("Job")
    found = await visit.read(lambda conn: history.of_ids(conn, visit.caller, [job]))
    if not found:
        raise NotFound("Job not found")
    return found[0]


def _within(visit: Visit, job: JobRow) -> Caller:
    """Whoever looks, in the team whose trail it belongs into."""
    return msgspec.structs.replace(visit.caller, team_id=job.team_id)
