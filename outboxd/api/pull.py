"""Queues for workers elsewhere: claim, settle, extend, release, report, under a lease: the only fence."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import structlog
from msgspec import Raw

from outboxd import telemetry
from outboxd.api import exchange as x
from outboxd.api import idempotency, pull_events, pull_wire, tenancy
from outboxd.api.claims import Seat
from outboxd.api.exchange import Exchange, Reply
from outboxd.api.pull_wire import ExtendIn, ReleaseIn, ReportIn, SettleIn, Wanted
from outboxd.db.link import Link
from outboxd.errors import Conflict, Error, LeaseLost
from outboxd.model import Claimed
from outboxd.model.events import Event
from outboxd.model.pull import Extended, Lease, Released, ResultTold, Told
from outboxd.model.times import epoch
from outboxd.store import events, pull
from outboxd.store.callers import ByKey
from outboxd.store.pull import Hired, OfLease, Result

log = structlog.get_logger()

SCOPE = "queues:work"


class Got(msgspec.Struct, frozen=True, kw_only=True):
    """What one claim has found."""

    hired: Hired
    jobs: list[Claimed]
    until: datetime | None = None
    events: dict[UUID, Event] = {}


async def claim(exchange: Exchange) -> Reply:
    """Jobs of a queue under one lease; held up to `waitMs` while nothing is due."""
    asked = pull_wire.wanted(exchange.body)
    queue, waited = pull_wire.queue(exchange), False
    gone = asyncio.create_task(_gone(exchange))

    async def once() -> Got:
        return await exchange.api.db.run(lambda conn: _claim(conn, _by(exchange), queue, asked))

    try:
        got = await once()
        if not got.jobs and asked.wait and not exchange.api.readiness.draining:
            hired = got.hired
            seat = Seat(exchange.key_id, hired.worker_id, hired.queue_id, queue, hired.handler)
            began = asyncio.get_running_loop().time()
            got = await exchange.api.claims.hold(exchange, seat, asked.wait, gone, once)
            waited = asyncio.get_running_loop().time() - began >= asked.wait.total_seconds()
        await asyncio.sleep(0)
        if got.jobs and gone.done():
            await _give_back(exchange, got)
    finally:
        gone.cancel()
    _meter_claim(got, asked.limit)
    return x.json(_shown(got, waited=waited))


async def settle(exchange: Exchange) -> Reply:
    """Says what became of jobs, also again after a lost answer; with `events` all of it or nothing."""
    said: SettleIn = exchange.body
    lease, by = pull_wire.lease_id(exchange), _by(exchange)
    jobs = [pull_wire.job_id(each.job_id) for each in said.results]
    results = pull_wire.results(said, lease, _age_ms(exchange, lease))
    made = await pull_events.made(exchange, said, lease, jobs) if said.events else []
    of, found, watched = None, dict[UUID, Result](), list[UUID]()

    async def write(conn: Link) -> Reply:
        nonlocal of, found, watched
        of = await pull.of_lease(conn, by, lease)
        found = await pull.settle(conn, by, lease, jobs, results)
        if not any(each.accepted for each in found.values()) and _over(found):
            raise LeaseLost("the lease is over")
        if said.events is not None:
            await _publish(conn, exchange, made, found)
        watched = await pull.watched(conn, by, [job for job, each in found.items() if _ended(each)])
        told = [_told(given.job_id, found[job]) for given, job in zip(said.results, jobs, strict=True)]
        return x.json(Told(results=told))

    reply = await idempotency.once(exchange, write)
    _meter_settle(said, found, of)
    pull_events.tell(exchange, made)
    exchange.api.wakes.committed({}, jobs=watched)
    exchange.api.claims.look_soon()
    return reply


async def extend(exchange: Exchange) -> Reply:
    """Moves the time limit of a lease; says which of its jobs somebody has cancelled."""
    asked: ExtendIn = exchange.body
    lease, by = pull_wire.lease_id(exchange), _by(exchange)
    jobs = None if asked.job_ids is None else [pull_wire.job_id(each) for each in asked.job_ids]
    wanted = timedelta(seconds=asked.lease_seconds)
    moved = await exchange.api.db.run(lambda conn: pull.prolong(conn, by, lease, wanted, jobs))
    return x.json(Extended(expires_at_epoch=epoch(moved.until), cancelled=moved.cancelled))


async def release(exchange: Exchange) -> Reply:
    """Gives jobs back as they were: the attempt is not spent."""
    asked: ReleaseIn = exchange.body or ReleaseIn()
    lease, by = pull_wire.lease_id(exchange), _by(exchange)
    jobs = None if asked.job_ids is None else [pull_wire.job_id(each) for each in asked.job_ids]
    reason = asked.reason or "released"
    back = await exchange.api.db.run(lambda conn: pull.release(conn, by, lease, jobs, reason))
    exchange.api.claims.look_soon()
    return x.json(Released(released=back))


async def report(exchange: Exchange) -> Reply:
    """What a running job tells: its progress, and what its next attempt shall know."""
    said: ReportIn = exchange.body
    lease, job, by = pull_wire.lease_id(exchange), pull_wire.job_id(said.job_id), _by(exchange)
    progress = None if said.progress is None else Raw(msgspec.json.encode(said.progress))
    checkpoint = pull_wire.given(said.checkpoint)
    await exchange.api.db.run(
        lambda conn: pull.report(conn, by, lease, job, progress=progress, checkpoint=checkpoint)
    )
    return Reply(204, headers=())


async def payload(exchange: Exchange) -> Reply:
    """The payload of a job under this lease, of any size."""
    lease, job, by = pull_wire.lease_id(exchange), pull_wire.path_job(exchange), _by(exchange)
    async with exchange.api.db.connection() as conn:
        return Reply(200, bytes(await pull.payload(conn, by, lease, job)))


def _by(exchange: Exchange) -> ByKey:
    return tenancy.by_key(exchange, SCOPE)


async def _claim(conn: Link, by: ByKey, queue: str, asked: Wanted) -> Got:
    """One transaction, so that what cannot be told has not been claimed."""
    hired = await pull.hire(conn, by, asked.worker, queue, asked.limit, asked.lease)
    jobs = await pull.claim(conn, hired.worker_id, queue, asked.limit, asked.lease)
    if not jobs:
        return Got(hired=hired, jobs=jobs)
    ids = [job.event_id for job in jobs if job.event_id is not None]
    found = await events.of_ids(conn, by, ids) if ids else []
    until = await pull.limit_of(conn, hired.worker_id, jobs[0].lease_id)
    return Got(hired=hired, jobs=jobs, until=until, events={each.id: each for each in found})


async def _give_back(exchange: Exchange, got: Got) -> None:
    """Nobody is there to work on them."""
    lease, by = got.jobs[0].lease_id, _by(exchange)
    try:
        await exchange.api.db.run(lambda conn: pull.release(conn, by, lease, reason="unanswered"))
    except Error as failed:
        log.warning("claim unanswered, left to its time limit", jobs=len(got.jobs), code=failed.code)
    else:
        exchange.api.claims.look_soon()


async def _publish(conn: Link, exchange: Exchange, made: list[Any], found: dict[UUID, Result]) -> None:
    """All or nothing. Raises Conflict for what was not accepted; what only repeats is not published again."""
    if any(not each.accepted for each in found.values()):
        raise Conflict("not every job is under this lease: nothing was stored")
    if any(each.note is None for each in found.values()):
        await pull_events.publish(conn, made)
    else:
        made.clear()


def _over(found: dict[UUID, Result]) -> bool:
    return all(each.note == "lease_over" for each in found.values())


def _ended(result: Result) -> bool:
    return result.accepted and result.state in {"completed", "failed", "cancelled"}


def _told(job: str, result: Result) -> ResultTold:
    note: Any = result.note
    due = None if result.due_at is None else epoch(result.due_at)
    return ResultTold(job_id=job, accepted=result.accepted, state=result.state, due_at_epoch=due, note=note)


def _shown(got: Got, *, waited: bool) -> Any:
    jobs = [pull_wire.job(job, got.events.get(job.event_id or pull_wire.NOTHING)) for job in got.jobs]
    lease = None
    if got.until is not None:
        lease = Lease(id=got.jobs[0].lease_id, expires_at_epoch=epoch(got.until))
    return pull_wire.claim(lease, jobs, paused=got.hired.paused, waited=waited)


def _meter_claim(got: Got, limit: int) -> None:
    result = "full" if len(got.jobs) == limit else "short" if got.jobs else "empty"
    telemetry.CLAIMS_TOTAL.labels(result).inc()
    telemetry.CLAIM_ROWS.observe(len(got.jobs))


def _meter_settle(said: SettleIn, found: dict[UUID, Result], of: OfLease | None) -> None:
    """Counts what was accepted now; what a repeat says was counted before."""
    for given in said.results:
        result = found.get(pull_wire.job_id(given.job_id))
        if result is None:
            continue
        if not result.accepted:
            telemetry.SETTLE_REFUSED_TOTAL.inc()
        elif result.note is None and of is not None:
            labels = telemetry.queue_label(of.queue, of.handler), telemetry.handler_label(of.handler)
            telemetry.JOBS_TOTAL.labels(*labels, given.outcome).inc()


def _age_ms(exchange: Exchange, lease: UUID) -> int:
    """How long the lease is held: its id is a UUIDv7, which begins with when it was made."""
    return max(0, round(exchange.api.ingest.mint.now() * 1000) - (lease.int >> 80))


async def _gone(exchange: Exchange) -> None:
    while (await exchange.receive())["type"] != "http.disconnect":
        pass
