"""Cancelling, retrying, putting off, letting go: one job or many.

Authority is read in the statement that acts.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from outboxd.api import exchange as x
from outboxd.api import jobs, tenancy
from outboxd.api.exchange import Exchange, Reply
from outboxd.api.json_checks import named, refused
from outboxd.api.queries import moment
from outboxd.api.wire import Epoch, now
from outboxd.db.link import Link
from outboxd.errors import NotFound
from outboxd.model.jobs import JobCancelled, JobFull, JobReply, JobRetried
from outboxd.store import mending
from outboxd.store.callers import ByKey
from outboxd.store.mending import Bulk, Moved

Reason = Annotated[str, Meta(max_length=500)]

_AT_ONCE, _RATE = 1000, 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
T = TypeVar("T")


class WhyIn(msgspec.Struct, frozen=True, kw_only=True):
    """The body of retry and cancel, which may be left out. Clients of older servers send others."""

    reason: Reason | None = None


class FilterIn(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    ids: Annotated[list[UUID], Meta(min_length=1, max_length=1000)] | None = None
    project_id: str | None = None
    status: Annotated[list[str], Meta(min_length=1, max_length=5)] | None = None
    queue: str | None = None
    handler: str | None = None
    source_type: str | None = None
    classification: Annotated[list[str], Meta(max_length=50)] | None = None
    since: Epoch | str | None = None
    until: Epoch | str | None = None
    session_id: str | None = None


class CancelIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    filter: FilterIn
    limit: Annotated[int, Meta(ge=1, le=10_000)] | None = _AT_ONCE
    dry_run: bool | None = False
    reason: Reason | None = None


class RetryIn(CancelIn, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    rate_per_second: Annotated[float, Meta(ge=0, le=1000)] | None = _RATE


class SnoozeIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    until_epoch: Epoch
    reason: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class BulkReply(Bulk, frozen=True, kw_only=True, rename="camel"):
    request_id: str


WHY = msgspec.json.Decoder(WhyIn)
CANCEL_MANY = msgspec.json.Decoder(CancelIn)
RETRY_MANY = msgspec.json.Decoder(RetryIn)
SNOOZE = msgspec.json.Decoder(SnoozeIn)


async def retry(exchange: Exchange) -> Reply:
    """POST /v1/jobs/{id}/retry: due now, with a new series of attempts"""
    changed, job = await _ordered(exchange, mending.retry)
    return x.json(
        JobRetried(
            generation_job=job,
            retried_count=changed.series,
            already_queued=changed.before == "queued",
            request_id=exchange.request_id,
        )
    )


async def cancel(exchange: Exchange) -> Reply:
    """POST /v1/jobs/{id}/cancel: it ends, and what it is just doing does not count"""
    changed, job = await _ordered(exchange, mending.cancel)
    return x.json(
        JobCancelled(
            generation_job=job,
            already_cancelled=changed.before == "cancelled",
            request_id=exchange.request_id,
        )
    )


async def snooze(exchange: Exchange) -> Reply:
    """POST /v1/jobs/{id}/snooze: a job that is queued is put off"""
    asked: SnoozeIn = exchange.body
    until = _EPOCH + timedelta(milliseconds=asked.until_epoch)
    if until <= now(exchange):
        raise refused("later than now", ("untilEpoch",), "too_small")

    async def order(conn: Link, by: ByKey, job: UUID) -> None:
        await mending.snooze(conn, by, job, until, asked.reason)

    with named(until="untilEpoch"):
        _, job = await _one(exchange, order)
    return x.json(JobReply(generation_job=job))


async def retry_many(exchange: Exchange) -> Reply:
    """POST /v1/jobs/retry: all that the filter finds, oldest first, throttled"""
    asked: RetryIn = exchange.body
    where = _where(asked.filter)

    async def order(conn: Link) -> Bulk:
        return await mending.redrive(
            conn,
            _by(exchange),
            where,
            limit=asked.limit or _AT_ONCE,
            rate=_RATE if asked.rate_per_second is None else asked.rate_per_second,
            dry_run=bool(asked.dry_run),
            reason=asked.reason,
        )

    return _bulk(exchange, await exchange.api.db.run(order))


async def cancel_many(exchange: Exchange) -> Reply:
    """POST /v1/jobs/cancel: all that the filter finds"""
    asked: CancelIn = exchange.body
    where = _where(asked.filter)

    async def order(conn: Link) -> Bulk:
        return await mending.cancel_many(
            conn,
            _by(exchange),
            where,
            limit=asked.limit or _AT_ONCE,
            dry_run=bool(asked.dry_run),
            reason=asked.reason,
        )

    return _bulk(exchange, await exchange.api.db.run(order))


async def purge_many(exchange: Exchange) -> Reply:
    """POST /v1/jobs/purge: dead letters are let go; they stay failed and cannot be retried"""
    asked: CancelIn = exchange.body
    where = _where(asked.filter)

    async def order(conn: Link) -> Bulk:
        return await mending.purge(
            conn,
            tenancy.by_key(exchange, "admin"),
            where,
            limit=asked.limit or _AT_ONCE,
            dry_run=bool(asked.dry_run),
            reason=asked.reason,
        )

    return _bulk(exchange, await exchange.api.db.run(order))


async def _ordered(exchange: Exchange, verb: Any) -> tuple[Moved, JobFull]:
    reason = exchange.body.reason if exchange.body else None

    async def order(conn: Link, by: ByKey, job: UUID) -> Moved:
        changed: Moved = await verb(conn, by, job, reason)
        return changed

    return await _one(exchange, order)


async def _one(exchange: Exchange, order: Callable[[Link, ByKey, UUID], Awaitable[T]]) -> tuple[T, JobFull]:
    """What is ordered about the job of the path, and the job as it is then. Raises NotFound."""
    job = tenancy.path_id(exchange)
    if job is None:
        raise NotFound("Generation job not found")
    try:
        done = await exchange.api.db.run(lambda conn: order(conn, _by(exchange), job))
    except NotFound:
        raise await tenancy.refuse(exchange, "Generation job", job, siblings=False) from None
    return done, await jobs.full(exchange, job)


def _where(asked: FilterIn) -> dict[str, Any]:
    """For SQL, which reads more as a time than we do."""
    found: dict[str, Any] = msgspec.to_builtins(asked)
    for name in ("since", "until"):
        if isinstance(found.get(name), str):
            at = moment(found[name])
            if at is None:
                raise refused("milliseconds since 1970, or ISO 8601", ("filter", name), "invalid_value")
            found[name] = at.isoformat()
    return found


def _by(exchange: Exchange) -> ByKey:
    return ByKey(
        actor=exchange.caller.actor,
        key_id=exchange.key_id,
        scope="jobs:write",
        request_id=exchange.request_id,
    )


def _bulk(exchange: Exchange, done: Bulk) -> Reply:
    return x.json(BulkReply(**msgspec.structs.asdict(done), request_id=exchange.request_id))
