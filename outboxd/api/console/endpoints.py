"""Endpoints: how healthy each is, on and off, a try, and redelivering what it was owed."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from outboxd.api import cursors
from outboxd.api.console import render
from outboxd.api.console.names import names
from outboxd.api.console.visit import Visit, done, go
from outboxd.api.exchange import Reply
from outboxd.db.link import Link
from outboxd.errors import Invalid, NotFound, RateLimited
from outboxd.handlers import probing
from outboxd.handlers.probing import Probe
from outboxd.model import Endpoint
from outboxd.store import audit, deliveries, endpoint_orders, endpoints, history, job_lists, rates
from outboxd.store.deliveries import Target
from outboxd.store.endpoint_orders import Recovery, Span
from outboxd.store.job_lists import JobFilter

_SCOPE = "endpoints:write"
_PAGE = 50
_A_MINUTE = 10
_MOST_BODY = 4 * 1024
_RATE = 10.0
_ONLY = ("undelivered", "all")
_PING = msgspec.Raw(b'{"test":true}')
_DONE = {
    "enabled": "Enabled. What waits is tried one at a time, until one succeeds.",
    "disabled": "Disabled. Nothing is sent there; what waits is held.",
    "recovering": "A job delivers again what it was owed.",
}


async def listed(visit: Visit) -> Reply:
    """GET /console/endpoints"""
    state = visit.choice("state", ("enabled", "paused", "disabled"))
    project = visit.ident("project")
    after = cursors.read(visit.exchange)
    async with visit.api.db.connection() as conn:
        found = await endpoints.listed(
            conn, visit.caller, _keys(visit), project=project, state=state, after=after, limit=_PAGE + 1
        )
        called = await names(conn, visit.caller)
    more = found[_PAGE - 1].id if len(found) > _PAGE else None
    return render.page(
        "endpoints.html",
        visit=visit,
        section="endpoints",
        title="Endpoints",
        endpoints=[(each, health(each)) for each in found[:_PAGE]],
        cursor=cursors.write(visit.exchange, more),
        names=called,
        asked=visit.asked("project", "state"),
    )


async def one(visit: Visit) -> Reply:
    """GET /console/endpoints/{id}"""
    return await _page(visit, await _seen(visit))


async def enable(visit: Visit) -> Reply:
    """POST /console/endpoints/{id}/enable"""
    return await _switch(visit, on=True)


async def disable(visit: Visit) -> Reply:
    """POST /console/endpoints/{id}/disable"""
    return await _switch(visit, on=False)


async def test(visit: Visit) -> Reply:
    """POST /console/endpoints/{id}/test: one attempt now, signed and guarded like any other"""
    seen = await _seen(visit)
    target = await visit.write(lambda conn: _target(visit, conn, seen))
    if target is None:
        raise NotFound("Endpoint not found")
    probe = Probe(type=visit.text("type") or "test.ping", payload=_PING)
    found = await probing.send(visit.api.egress, visit.api.config, target, probe)
    body = None if found.body is None else found.body[:_MOST_BODY]
    return await _page(visit, seen, tested=found, body=body)


async def recover(visit: Visit) -> Reply:
    """POST /console/endpoints/{id}/recover: a dry run first; with `sure`, the job"""
    seen, sure = await _seen(visit), visit.choice("sure", ("1",)) == "1"
    since = visit.time("since") or datetime.now(UTC) - timedelta(hours=1)
    types = visit.text("types", 2000)
    rate = visit.number("rate", 1, 1000)
    span = Span(
        since=since,
        until=visit.time("until"),
        only="all" if visit.choice("only", _ONLY) == "all" else "undelivered",
        types=None if types is None else [each.strip() for each in types.split(",") if each.strip()],
        rate=_RATE if rate is None else rate,
    )
    if span.types is not None and not 1 <= len(span.types) <= 50:
        raise Invalid("types: at most 50 of them")
    found = await visit.write(
        lambda conn: endpoint_orders.recover(conn, visit.by(_SCOPE), seen.id, span, dry_run=not sure)
    )
    if found.job_id is not None:
        return go(f"/console/endpoints/{seen.id}", done="recovering")
    return await _page(visit, seen, owed=found, span=span)


def health(endpoint: Endpoint) -> render.Open:
    return render.members(endpoint.health)


async def _page(
    visit: Visit,
    seen: Endpoint,
    *,
    tested: probing.Probed | None = None,
    body: str | None = None,
    owed: Recovery | None = None,
    span: Span | None = None,
) -> Reply:
    where = JobFilter(endpoint=seen.id, queue=f"endpoint:{seen.id}")
    async with visit.api.db.connection() as conn:
        page = await job_lists.page(conn, visit.caller, where, after=None, offset=0, limit=20)
        last = await history.last_attempts(conn, [job.id for job in page.jobs])
        called = await names(conn, visit.caller)
    return render.page(
        "endpoint.html",
        visit=visit,
        section="endpoints",
        title=seen.uid or "Endpoint",
        done=done(visit, _DONE),
        endpoint=seen,
        health=health(seen),
        deliveries=[(job, last.get(job.id)) for job in page.jobs],
        names=called,
        tested=tested,
        body=body,
        owed=owed,
        span=span,
    )


async def _switch(visit: Visit, *, on: bool) -> Reply:
    seen = await _seen(visit)
    await visit.write(lambda conn: endpoint_orders.switch(conn, visit.by(_SCOPE), seen.id, on=on))
    return go(f"/console/endpoints/{seen.id}", done="enabled" if on else "disabled")


async def _target(visit: Visit, conn: Link, seen: Endpoint) -> Target | None:
    """Raises RateLimited; in the trail before it is sent, since there the key is judged."""
    window = await rates.take(conn, seen.id, "test", 1)
    if window.used > _A_MINUTE:
        raise RateLimited(
            f"at most {_A_MINUTE} tests of an endpoint a minute",
            retry_in=timedelta(seconds=max(1, window.seconds)),
        )
    by = msgspec.structs.replace(visit.by(_SCOPE), team_id=seen.team_id)
    await audit.record(conn, by, "endpoint.tested", "endpoint", str(seen.id), project=seen.project_id)
    return await deliveries.read(conn, f"endpoint:{seen.id}", None, 1)


async def _seen(visit: Visit) -> Endpoint:
    """Raises NotFound, also for one that the caller may not see."""
    endpoint: UUID = visit.part_id("Endpoint")
    found = await visit.read(lambda conn: endpoints.get(conn, visit.caller, str(endpoint), _keys(visit)))
    if found is None:
        raise NotFound("Endpoint not found")
    return found.endpoint


def _keys(visit: Visit) -> Any:
    return visit.api.config.secret_keys
