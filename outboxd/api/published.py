"""The replies to what was published: made from what was sent, and read where there is more to say."""

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Raw, UnsetType

from outboxd.api import job_views
from outboxd.api.exchange import Exchange
from outboxd.model import Event, JobDescriptor, State, epoch
from outboxd.store import events, history
from outboxd.store.history import EventJob, JobRow
from outboxd.store.ingest import Incoming, MadeJob, Outcome

_EMPTY = Raw(b"{}")
_MOST_JOBS = 100


class MadeView(msgspec.Struct, frozen=True):
    id: UUID
    handler: str
    queue: str
    status: State


class Published(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What became of one event."""

    status: int | UnsetType = UNSET
    """Only in lenient batches."""
    event: Event
    generation_job: JobDescriptor | UnsetType | None = UNSET
    """Left out when there is none; to whoever waited, null then, and with its attempts otherwise."""
    jobs: Sequence[MadeView] | UnsetType = UNSET
    duplicate: Literal[True] | UnsetType = UNSET
    duplicate_differs: Literal[True] | UnsetType = UNSET
    generation: Literal["deferred"] | UnsetType = UNSET
    """The job is made, or joined, when the event is numbered."""
    wait_timed_out: Literal[True] | UnsetType = UNSET


class PublishedBatch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    events: Sequence[Published]
    """As they were sent; what a lenient batch refused has `status`, `error` and `message` instead."""
    wait_timed_out: Literal[True] | UnsetType = UNSET


class Item(msgspec.Struct, frozen=True):
    """One event of a request, stored."""

    incoming: Incoming
    outcome: Outcome


async def published(exchange: Exchange, items: list[Item], *, wait: bool) -> list[Published]:
    """One a stored event, in their order. `wait`: once its job of generation is over, or time is up."""
    first: dict[UUID, Event] = {}
    jobs: dict[UUID | None, Sequence[MadeJob | EventJob]] = {
        item.outcome.event_id: item.outcome.jobs for item in items
    }
    repeated = [item.outcome.event_id for item in items if item.outcome.known and item.outcome.event_id]
    if repeated:
        async with exchange.api.db.connection() as conn:
            first = {event.id: event for event in await events.of_ids(conn, exchange.caller, repeated)}
            made = await history.of_events(conn, repeated)
        jobs |= {event: [job for job in made if job.event_id == event] for event in repeated}
    known = await _states(exchange, jobs, read_all=bool(repeated), wait=wait)
    return [_view(item, first, jobs[item.outcome.event_id], known, wait=wait) for item in items]


class _States(msgspec.Struct, frozen=True):
    rows: dict[UUID, JobRow]
    late: set[UUID]
    """Waited for in vain."""


async def _states(
    exchange: Exchange,
    jobs: dict[UUID | None, Sequence[MadeJob | EventJob]],
    *,
    read_all: bool,
    wait: bool,
) -> _States:
    """How the jobs stand now; a job that was made just now, and is nobody's generation job, is queued."""
    every = [job for made in jobs.values() for job in made]
    wanted = {job.id for job in every if _generates(job)}
    gathered = {job.id for job in every if isinstance(job, EventJob) and job.gathered}
    # A gathered job waits for events to come: nobody waits for it.
    awaited = wanted - gathered if wait else set()
    late = await exchange.api.waits.until_over(awaited) if awaited else set()
    asked = {job.id for job in every} if read_all or wait else wanted
    if not asked:
        return _States({}, late)
    async with exchange.api.db.connection() as conn:
        return _States({job.id: job for job in await history.of_ids(conn, exchange.caller, asked)}, late)


def _view(
    item: Item,
    first: dict[UUID, Event],
    jobs: Sequence[MadeJob | EventJob],
    known: _States,
    *,
    wait: bool,
) -> Published:
    outcome = item.outcome
    generation = next((known.rows[job.id] for job in jobs if job.id in known.rows and _generates(job)), None)
    shown: JobDescriptor | UnsetType | None = None if wait else UNSET
    if generation is not None:
        shown = job_views.wait(generation) if wait else job_views.descriptor(generation)
    return Published(
        event=first.get(outcome.event_id or item.incoming.id) or _event(item.incoming, outcome),
        generation_job=shown,
        jobs=[_made(job, known) for job in jobs[:_MOST_JOBS]],
        generation="deferred" if outcome.deferred else UNSET,
        duplicate=outcome.duplicate or UNSET,
        duplicate_differs=outcome.differs or UNSET,
        wait_timed_out=(generation is not None and generation.id in known.late) or UNSET,
    )


def _generates(job: MadeJob | EventJob) -> bool:
    return job.handler == job_views.GENERATION


def _made(job: MadeJob | EventJob, known: _States) -> MadeView:
    row = known.rows.get(job.id)
    state: State = "queued" if row is None else row.state
    return MadeView(job.id, job.handler, job.queue, state)


def _event(incoming: Incoming, outcome: Outcome) -> Event:
    received = epoch(outcome.received_at)
    return Event(
        id=outcome.event_id or incoming.id,
        project_id=incoming.project_id,
        team_id=incoming.team_id,
        server_session_id=outcome.session_id,
        source_adapter=incoming.adapter,
        source_event_id=incoming.source_event_id,
        event_type=incoming.type,
        platform_source=incoming.platform_source,
        payload=incoming.payload,
        metadata=_EMPTY if incoming.metadata is UNSET else incoming.metadata,
        occurred_at_epoch=received if incoming.occurred_at is None else epoch(incoming.occurred_at),
        received_at_epoch=received,
        created_at_epoch=received,
        subject=incoming.subject,
        ordering_key=incoming.ordering_key,
        request_id=incoming.request_id,
        traceparent=incoming.traceparent,
        position=None,
        expires_at_epoch=None if incoming.expires_at is None else epoch(incoming.expires_at),
        private_removed=incoming.private_removed,
        expunged_at_epoch=None,
        source=UNSET if incoming.source is None else incoming.source,
        content_type=UNSET if incoming.content_type is None else incoming.content_type,
        encoding=UNSET if incoming.encoding is None else incoming.encoding,
        attributes=incoming.attributes,
    )
