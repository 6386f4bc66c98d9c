"""The audit trail, searched: what people and keys did, and what followed from it."""

import re

from outboxd.api import cursors
from outboxd.api.console import render
from outboxd.api.console.names import names
from outboxd.api.console.visit import Visit
from outboxd.api.exchange import Reply
from outboxd.db.link import Link
from outboxd.errors import Invalid
from outboxd.store import audit, trail
from outboxd.store.trail import TrailFilter

_FILTERS = (
    "action", "resourceType", "resourceId", "actor", "request", "project", "event", "job", "since", "until",
)  # fmt: skip
_ACTION = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*(\.\*)?")
_PAGE = 50


async def show(visit: Visit) -> Reply:
    """GET /console/audit: itself in the trail, as every reading of it"""
    where = _filter(visit)
    after = cursors.read(visit.exchange)
    async with visit.api.db.connection() as conn:
        found = await trail.page(conn, visit.caller, where, after=after, limit=_PAGE + 1)
        called = await names(conn, visit.caller)
    entries = found.entries[:_PAGE]
    more = entries[-1].id if len(found.entries) > _PAGE else found.resume
    asked = visit.asked(*_FILTERS)

    async def note(conn: Link) -> None:
        details = {"filters": asked, "resultCount": len(entries)}
        await audit.record(
            conn, visit.caller, "audit.read", "audit", None, project=where.project_id, details=details
        )

    await visit.write(note)
    return render.page(
        "audit.html",
        visit=visit,
        section="audit",
        title="Audit trail",
        entries=entries,
        cursor=cursors.write(visit.exchange, more),
        names=called,
        asked=asked,
    )


def _filter(visit: Visit) -> TrailFilter:
    action = visit.text("action", 100)
    if action is not None and not _ACTION.fullmatch(action):
        raise Invalid("action: exact, or a prefix as queue.*")
    return TrailFilter(
        action=action,
        resource_type=visit.text("resourceType", 100),
        resource_id=visit.text("resourceId"),
        actor_id=visit.text("actor"),
        request_id=visit.text("request", 64),
        project_id=visit.ident("project"),
        event_id=visit.ident("event"),
        job_id=visit.ident("job"),
        since=visit.time("since"),
        until=visit.time("until"),
    )
