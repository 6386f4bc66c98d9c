"""Schedules, to be read: what fires when, and what does not and why."""

from outboxd.api import cursors
from outboxd.api.console import render
from outboxd.api.console.names import names
from outboxd.api.console.visit import Visit
from outboxd.api.exchange import Reply
from outboxd.store import schedules

_PAGE = 50


async def show(visit: Visit) -> Reply:
    """GET /console/schedules"""
    project, after = visit.ident("project"), cursors.read(visit.exchange)
    async with visit.api.db.connection() as conn:
        found = await schedules.listed(conn, visit.caller, project=project, after=after, limit=_PAGE + 1)
        called = await names(conn, visit.caller)
    more = found[_PAGE - 1].id if len(found) > _PAGE else None
    return render.page(
        "schedules.html",
        visit=visit,
        section="schedules",
        title="Schedules",
        schedules=found[:_PAGE],
        cursor=cursors.write(visit.exchange, more),
        names=called,
        asked=visit.asked("project"),
    )
