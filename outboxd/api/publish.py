"""POST /v1/events and /v1/events/batch: from the request to the commit, and back."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Raw, UnsetType

from outboxd.api import exchange as x
from outboxd.api import idempotency, job_views, limits, problems, wire
from outboxd.api.exchange import Exchange, Reply
from outboxd.api.json_checks import invalid
from outboxd.api.queries import flag
from outboxd.errors import Error, Invalid, Issue
from outboxd.model import Event, JobDescriptor, State, epoch
from outboxd.store import events, history
from outboxd.store.history import EventJob, JobRow
from outboxd.store.ingest import Incoming, MadeJob, Outcome

_EMPTY = Raw(b"{}")
_MOST_JOBS = 100
_LENIENT = re.compile(rb"(?:^|[,;\s])handling\s*=\s*\"?lenient\"?(?:$|[,;\s])", re.IGNORECASE)


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


class _Flags(msgspec.Struct, frozen=True):
    """Of the query."""

    generate: bool
    wait: bool


class PublishedBatch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    events: Sequence[Published]
    """As they were sent; what a lenient batch refused has `status`, `error` and `message` instead."""
    wait_timed_out: Literal[True] | UnsetType = UNSET


class _Item(msgspec.Struct, frozen=True):
    """One event of a request, stored."""

    incoming: Incoming
    outcome: Outcome


async def one(exchange: Exchange) -> Reply:
    """POST /v1/events: 201 after COMMIT, also for a duplicate."""
    flags = _flags(exchange)
    incoming = await wire.incoming(exchange, exchange.body, watched=flags.wait, generate=flags.generate)
    return x.json(await accepted(exchange, incoming, wait=flags.wait), 201)


async def accepted(exchange: Exchange, incoming: Incoming, *, wait: bool = False) -> Published:
    """Stores one event and tells, after COMMIT, what became of it. Raises what refuses it."""
    [outcome] = await _stored(exchange, [incoming])
    if outcome.status != 201:
        raise outcome.refusal()
    [published] = await _published(exchange, [_Item(incoming, outcome)], wait=wait)
    return published


async def batch(exchange: Exchange) -> Reply:
    """POST /v1/events/batch: all or nothing, or each for itself where the client prefers that."""
    flags = _flags(exchange)
    if _LENIENT.search(exchange.headers.get(b"prefer", b"")):
        return await _lenient(exchange, flags)
    made = [await _read(exchange, item, n, flags) for n, item in enumerate(exchange.body)]
    outcomes = await _stored(exchange, made)
    for outcome in outcomes:
        if outcome.status != 201:
            raise outcome.refusal()
    items = [_Item(*pair) for pair in zip(made, outcomes, strict=True)]
    published = await _published(exchange, items, wait=flags.wait)
    late = any(each.wait_timed_out is True for each in published)
    return x.json(PublishedBatch(events=published, wait_timed_out=late or UNSET), 201)


async def _lenient(exchange: Exchange, flags: _Flags) -> Reply:
    """Every item is a unit of its own; not one accepted is a refusal of the whole."""
    found = await asyncio.gather(*(_alone(exchange, item, n, flags) for n, item in enumerate(exchange.body)))
    items = [each for each in found if isinstance(each, _Item)]
    if not items:
        raise _none_accepted([each for each in found if isinstance(each, Error)])
    published = iter(await _published(exchange, items, wait=flags.wait))
    exchange.extra.append((b"preference-applied", b"handling=lenient"))
    return x.json({"events": [_shown(exchange, each, published) for each in found]}, 201)


async def _alone(exchange: Exchange, item: Raw, n: int, flags: _Flags) -> _Item | Error:
    try:
        incoming = await _read(exchange, item, n, flags)
        [outcome] = await _stored(exchange, [incoming], part=str(n))
    except Error as refused:
        return refused
    return _Item(incoming, outcome) if outcome.status == 201 else outcome.refusal()


async def _read(exchange: Exchange, item: Raw, n: int, flags: _Flags) -> Incoming:
    try:
        event = wire.ONE.decode(item)
    except msgspec.ValidationError as wrong:
        raise invalid(wrong, (str(n),)) from None
    return await wire.incoming(exchange, event, (str(n),), watched=flags.wait, generate=flags.generate)


async def _stored(exchange: Exchange, unit: list[Incoming], part: str = "") -> list[Outcome]:
    costs = Counter(event.project_id for event in unit)
    await limits.take_events(exchange, costs)
    await exchange.api.backlogs.admit(set(costs))
    claim = idempotency.claim_of(exchange, next(iter(costs)) if len(costs) == 1 else exchange.team, part)
    outcomes = await exchange.api.ingest.publish(unit, claim)
    if any(outcome.replayed for outcome in outcomes):
        idempotency.tell_replayed(exchange)
    return outcomes


def _shown(exchange: Exchange, each: _Item | Error, published: Iterator[Published]) -> Any:
    if isinstance(each, _Item):
        return msgspec.structs.replace(next(published), status=201)
    problem = msgspec.json.decode(problems.reply(exchange.request_id, each).body)
    kept = ("status", "error", "message", "issues", "errors", "eventId", "requiredScopes")
    return {name: problem[name] for name in kept if name in problem}


def _none_accepted(refusals: list[Error]) -> Error:
    issues = [issue for refusal in refusals if isinstance(refusal, Invalid) for issue in refusal.issues]
    whole = [
        Issue(path=(str(n),), code=refusal.code, message=refusal.detail)
        for n, refusal in enumerate(refusals)
        if not isinstance(refusal, Invalid)
    ]
    if refusals and all(refusal.status >= 500 for refusal in refusals):
        return refusals[0]
    return Invalid("not one event of the batch was accepted", [*issues, *whole])


async def _published(exchange: Exchange, items: list[_Item], *, wait: bool) -> list[Published]:
    """The replies: made from what was sent, and read where there is more to say than that."""
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
    item: _Item,
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
    )


def _flags(exchange: Exchange) -> _Flags:
    return _Flags(flag(exchange, "generate", default=True), flag(exchange, "wait", default=False))
