"""Queues: how each stands, pausing and resuming, limits and shares."""

from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from outboxd.api.console import overview, render
from outboxd.api.console.figures import Picture
from outboxd.api.console.names import names
from outboxd.api.console.visit import Visit, done, go
from outboxd.api.exchange import Reply
from outboxd.errors import Invalid, NotFound
from outboxd.store import depths as store
from outboxd.store import steering
from outboxd.store.depths import Depth

_DONE = {
    "paused": "Paused. What runs goes on; nothing new is claimed.",
    "resumed": "Resumed.",
    "open": "It was not paused.",
    "limits": "Saved. The limits hold from the next claim on.",
    "weight": "Saved. The share has its new weight.",
}


async def listed(visit: Visit) -> Reply:
    """GET /console/queues"""
    picture: Picture = await visit.figures.of(visit.caller)
    table = overview.table(picture, visit.operator)["table"]
    return render.page(
        "queues.html",
        visit=visit,
        section="queues",
        title="Queues",
        table=Markup(table),  # noqa: S704
    )


async def one(visit: Visit) -> Reply:
    """GET /console/queues/{name}"""
    depth = await _seen(visit)
    picture = await visit.figures.of(visit.caller)
    async with visit.api.db.connection() as conn:
        settings = await store.settings(conn, depth.queue)
        shares = await store.shares(conn, visit.caller, depth.queue)
        called = await names(conn, visit.caller)
    return render.page(
        "queue.html",
        visit=visit,
        section="queues",
        title=depth.queue,
        done=done(visit, _DONE),
        depth=depth,
        s=settings,
        shares=shares,
        names=called,
        minutes=picture.hour.by_queue.get(depth.queue, [(0, 0)] * 60),
    )


async def pause(visit: Visit) -> Reply:
    """POST: the queue, or a project's share of it"""
    depth = await _seen(visit)
    span, reason = visit.span("for"), visit.text("reason", 500)
    until = None if span is None else datetime.now(UTC) + span
    project = visit.ident("project")
    await visit.write(
        lambda conn: steering.pause(
            conn, visit.by(), depth.queue, project=project, until=until, reason=reason
        )
    )
    return _back(depth, "paused")


async def resume(visit: Visit) -> Reply:
    """POST: the queue, or a project's share of it"""
    depth = await _seen(visit)
    project = visit.ident("project")
    was = await visit.write(lambda conn: steering.resume(conn, visit.by(), depth.queue, project=project))
    return _back(depth, "resumed" if was else "open")


async def limits(visit: Visit) -> Reply:
    """POST: what an operator sets; an empty field is no limit"""
    depth = await _seen(visit)
    rate, burst = visit.number("rate", 0.001, 100_000), visit.whole("burst", 1, 100_000)
    if burst is not None and rate is None:
        raise Invalid("burst: say how many starts a second, too")
    settings: dict[str, Any] = {
        "concurrency": visit.whole("concurrency", 1, 1000),
        "perWorker": visit.whole("perWorker", 1, 1000),
        "leaseSize": visit.whole("leaseSize", 1, 500),
        "rate": None if rate is None else {"perSecond": rate, "burst": burst or max(1, round(rate))},
        "attempts": visit.whole("attempts", 1, 100),
        "timeoutMs": visit.whole("timeoutMs", 1, 86_400_000),
    }
    await visit.write(lambda conn: steering.configure(conn, visit.by(), depth.queue, settings))
    return _back(depth, "limits")


async def weigh(visit: Visit) -> Reply:
    """POST: what a project gets of it"""
    depth = await _seen(visit)
    project, weight = visit.ident("project"), visit.whole("weight", 1, 100)
    if project is None or weight is None:
        raise Invalid("a project and a weight from 1 to 100")
    await visit.write(lambda conn: steering.weigh(conn, visit.by(), depth.queue, project, weight))
    return _back(depth, "weight")


async def _seen(visit: Visit) -> Depth:
    """The queue of the path, if something of the caller's is there. Raises NotFound."""
    name = visit.part("name")
    found = await visit.read(lambda conn: store.queues(conn, visit.caller, queue=name, limit=1))
    if not found:
        raise NotFound("Queue not found")
    return found[0]


def _back(depth: Depth, said: str) -> Reply:
    return go(f"/console/queues/{render.segment(depth.queue)}", done=said)
