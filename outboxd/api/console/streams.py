"""Streams: where each project's feed stands, and who keeps events out of it."""

from outboxd.api.console import render
from outboxd.api.console.visit import Visit
from outboxd.api.exchange import Reply
from outboxd.store import overview, views

_MOST = 500


async def show(visit: Visit) -> Reply:
    """GET /console/streams"""
    async with visit.api.db.connection() as conn:
        found = await overview.streams(conn, visit.caller, limit=_MOST)
        stalled = (
            await views.rows(conn, "pending_stalled", order="xact_age desc", limit=20)
            if visit.operator
            else []
        )
    return render.page(
        "streams.html", visit=visit, section="streams", title="Streams", streams=found, stalled=stalled
    )
