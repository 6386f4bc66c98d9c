"""Events: a list, and one with all that followed from it."""

import msgspec
from msgspec import UNSET, Raw

from outboxd.api import cursors
from outboxd.api.console import render
from outboxd.api.console.names import names
from outboxd.api.console.visit import Visit, go
from outboxd.api.exchange import Reply
from outboxd.db.link import Link
from outboxd.errors import NotFound
from outboxd.model import Event
from outboxd.store import audit, events, history, job_lists
from outboxd.store.events import EventFilter
from outboxd.store.job_lists import JobFilter

_FILTERS = ("project", "type", "subject", "request", "session", "since", "dead")
_PAGE = 50
_MOST_JOBS = 100
_TIMELINE = 300


async def listed(visit: Visit) -> Reply:
    """GET /console/events"""
    named = visit.text("id", 64)
    if named is not None:
        return go(f"/console/events/{render.segment(named)}")
    type_ = visit.text("type")
    where = EventFilter(
        project=visit.ident("project"),
        types=None if type_ is None else [type_],
        subject=visit.text("subject"),
        request=visit.text("request", 64),
        session=visit.ident("session"),
        since=visit.time("since"),
        dead=visit.choice("dead", ("1",)) == "1",
    )
    after = cursors.read(visit.exchange)
    async with visit.api.db.connection() as conn:
        found = await events.listed(
            conn, visit.caller, where, after=after, ascending=False, bodies=False, limit=_PAGE + 1
        )
        called = await names(conn, visit.caller)
    more = found[_PAGE - 1].id if len(found) > _PAGE else None
    return render.page(
        "events.html",
        visit=visit,
        section="events",
        title="Events",
        events=found[:_PAGE],
        cursor=cursors.write(visit.exchange, more),
        names=called,
        asked=visit.asked(*_FILTERS),
    )


async def one(visit: Visit) -> Reply:
    """GET /console/events/{id}"""
    return await _page(visit, await _seen(visit), None)


async def payload(visit: Visit) -> Reply:
    """POST /console/events/{id}/payload: what it says, once more clicked for, and in the trail"""
    event = await _seen(visit)

    async def note(conn: Link) -> None:
        by = msgspec.structs.replace(visit.caller, team_id=event.team_id)
        details = {"includePayload": True, "eventType": event.event_type}
        await audit.record(
            conn, by, "event.payload_read", "agent_event", str(event.id), project=event.project_id,
            details=details,
        )  # fmt: skip

    await visit.write(note)
    shown = event.payload
    return await _page(visit, event, Raw(b"null") if shown is UNSET else shown)


async def _page(visit: Visit, event: Event, shown: Raw | None) -> Reply:
    async with visit.api.db.connection() as conn:
        timeline = await events.timeline(conn, event.id, audit=True, limit=_TIMELINE)
        page = await job_lists.page(
            conn, visit.caller, JobFilter(event=event.id), after=None, offset=0, limit=_MOST_JOBS
        )
        last = await history.last_attempts(conn, [job.id for job in page.jobs])
        called = await names(conn, visit.caller)
    return render.page(
        "event.html",
        visit=visit,
        section="events",
        title=event.event_type,
        event=event,
        timeline=timeline,
        jobs=[job for job in page.jobs if not job.queue.startswith("endpoint:")],
        deliveries=[(job, last.get(job.id)) for job in page.jobs if job.queue.startswith("endpoint:")],
        names=called,
        payload=shown,
    )


async def _seen(visit: Visit) -> Event:
    """Raises NotFound, also for one that the caller may not see."""
    event = visit.part_id("Event")
    found = await visit.read(lambda conn: events.of_ids(conn, visit.caller, [event]))
    if not found:
        raise NotFound("Event not found")
    return found[0]
