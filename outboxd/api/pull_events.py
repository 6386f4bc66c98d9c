"""Events that come with results: what a worker elsewhere publishes as its jobs end, in the same transaction.

They are of the project of the first job that the lease holds, and go on in its request and trace, one hop
further; who publishes is the worker's key.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from outboxd.api import limits, tenancy, wire
from outboxd.api.exchange import Exchange
from outboxd.api.json_checks import Path
from outboxd.api.pull_wire import EventOfJob, SettleIn
from outboxd.db.link import Link
from outboxd.errors import Forbidden, InsufficientScope, LoopDetected
from outboxd.store import ingest, pull
from outboxd.store.ingest import Incoming, Outcome
from outboxd.store.pull import Cause

_NEEDED = "events:write"
_REFUSED = "Invalid API key or insufficient scope"
_FOREIGN = "a job publishes in its own project"
_MOST_HOPS = 8


class Made(msgspec.Struct):
    incoming: Incoming
    outcome: Outcome | None = None


async def made(exchange: Exchange, said: SettleIn, lease: UUID, jobs: Sequence[UUID]) -> list[Made]:
    """Ready to be stored; none where the lease holds none of the jobs any more, which only repeats.

    Raises InsufficientScope, Forbidden, LoopDetected, and what refuses an event, with pointers."""
    if exchange.key is None or _NEEDED not in exchange.key.effective:
        raise InsufficientScope(_REFUSED, (_NEEDED,))
    if exchange.key.team_id is None:
        raise Forbidden("API key is not bound to a team")
    by = tenancy.by_key(exchange, "queues:work")
    async with exchange.api.db.connection() as conn:
        cause = await pull.cause(conn, by, lease, jobs)
    if cause is None:
        return []
    if cause.hops > _MOST_HOPS:
        raise LoopDetected(f"this event is the result of more than {_MOST_HOPS} deliveries")
    events = said.events or []
    ready = [
        Made(await _incoming(exchange, event, ("events", str(n)), cause)) for n, event in enumerate(events)
    ]
    await limits.take_events(exchange, {cause.project_id: len(ready)})
    await exchange.api.backlogs.admit({cause.project_id})
    return ready


async def publish(conn: Link, events: Sequence[Made]) -> None:
    """In the transaction that settles. Raises the first refusal, and then nothing is stored."""
    if not events:
        return
    [outcomes] = await ingest.ingest(conn, [[ingest.encoded(each.incoming) for each in events]])
    for n, (each, outcome) in enumerate(zip(events, outcomes, strict=True)):
        if outcome.status != 201:
            raise wire.within(("events", str(n)), outcome.refusal())
        each.outcome = outcome


def tell(exchange: Exchange, events: Sequence[Made]) -> None:
    """After COMMIT: their jobs are due, and they wait to be numbered."""
    fresh = [each for each in events if each.outcome is not None and not each.outcome.known]
    queues = {
        job.queue: job.handler for each in fresh if each.outcome for job in each.outcome.jobs if job.due
    }
    if fresh:
        exchange.api.wakes.committed(queues, {each.incoming.project_id for each in fresh})


async def _incoming(exchange: Exchange, event: EventOfJob, at: Path, cause: Cause) -> Incoming:
    project = event.project_id or str(cause.project_id)
    if wire.uuid_of(project) != cause.project_id:
        raise Forbidden(_FOREIGN)
    whole = msgspec.structs.replace(event, project_id=project)
    incoming = await wire.incoming(exchange, whole, at, adapter=event.source_type or "worker")
    return msgspec.structs.replace(
        incoming,
        hops=max(incoming.hops, cause.hops),
        request_id=cause.request_id or incoming.request_id,
        traceparent=cause.traceparent or incoming.traceparent,
    )
