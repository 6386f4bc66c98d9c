"""What people do with an endpoint: on or off, its deliveries, one of them again, all that it was owed."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from outboxd.api import cursors, endpoints, idempotency, job_views, jobs, queries
from outboxd.api import exchange as x
from outboxd.api.exchange import Exchange, Reply
from outboxd.api.wire import Epoch, uuid_of
from outboxd.db.link import Link
from outboxd.errors import NotFound
from outboxd.model import JobFull, epoch
from outboxd.model.deliveries import DeliveryEntry, DeliveryPage, Owed
from outboxd.model.endpoints import EndpointReply
from outboxd.model.jobs import Attempt, JobReply
from outboxd.store import endpoint_orders, history, job_lists
from outboxd.store import endpoints as stored
from outboxd.store.endpoint_orders import Span
from outboxd.store.history import JobRow
from outboxd.store.job_lists import JobFilter

DELIVERIES_QUERY = frozenset({"status", "eventId", "class", "since", "until", "limit", "cursor"})
_RATE = 10.0


class RecoverIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    since_epoch: Epoch
    until_epoch: Epoch | None = None
    """Null: now."""
    only: Literal["undelivered", "all"] | None = None
    types: Annotated[list[str], Meta(min_length=1, max_length=50)] | None = None
    rate_per_second: Annotated[float, Meta(ge=1, le=1000)] | None = None
    dry_run: bool | None = None


RECOVER = msgspec.json.Decoder(RecoverIn)


async def enable(exchange: Exchange) -> Reply:
    """POST /v1/endpoints/{id}/enable: deliveries go on, one at a time until one succeeds"""
    return await _switched(exchange, on=True)


async def disable(exchange: Exchange) -> Reply:
    """POST /v1/endpoints/{id}/disable: no deliveries are made any more, those that wait are held"""
    return await _switched(exchange, on=False)


async def deliveries(exchange: Exchange) -> Reply:
    """GET /v1/endpoints/{id}/deliveries: newest first, each with its last attempt"""
    limit, after = queries.limit(exchange), cursors.read(exchange)
    where = JobFilter(
        states=jobs.states(exchange),
        event=queries.ident(exchange, "eventId"),
        last_class=queries.text(exchange, "class", 64),
        since=queries.time(exchange, "since"),
        until=queries.time(exchange, "until"),
    )
    endpoint = (await endpoints.asked(exchange)).endpoint.id
    where = msgspec.structs.replace(where, endpoint=endpoint, queue=f"endpoint:{endpoint}")
    async with exchange.api.db.connection() as conn:
        page = await job_lists.page(conn, exchange.caller, where, after=after, offset=0, limit=limit)
        attempts = await history.last_attempts(conn, [job.id for job in page.jobs])
    entries = [_entry(job, attempts.get(job.id)) for job in page.jobs]
    return x.json(DeliveryPage(deliveries=entries, next_cursor=cursors.write(exchange, page.after)))


async def redeliver(exchange: Exchange) -> Reply:
    """POST /v1/endpoints/{id}/deliveries/{jobId}/redeliver: its event once more, at the end of its lane"""
    seen = (await endpoints.asked(exchange)).endpoint
    job = uuid_of(exchange.parameter("jobId"))
    if job is None:
        raise NotFound("Delivery not found")

    async def order(conn: Link) -> Reply:
        found = await endpoint_orders.redeliver(conn, endpoints.by(exchange), seen.id, job)
        shown = JobReply(generation_job=await _full(conn, exchange, found.job_id))
        return x.json(shown, 202 if found.made else 200)

    return await idempotency.once(exchange, order, scope=seen.project_id)


async def recover(exchange: Exchange) -> Reply:
    """POST /v1/endpoints/{id}/recover: what it was owed in that time is delivered, by a job of its own"""
    given: RecoverIn = exchange.body
    seen = (await endpoints.asked(exchange)).endpoint
    span = Span(
        since=_time(given.since_epoch),
        until=None if given.until_epoch is None else _time(given.until_epoch),
        only=given.only or "undelivered",
        types=given.types,
        rate=_RATE if given.rate_per_second is None else given.rate_per_second,
    )

    async def order(conn: Link) -> Reply:
        found = await endpoint_orders.recover(
            conn, endpoints.by(exchange), seen.id, span, dry_run=bool(given.dry_run)
        )
        if found.job_id is not None:
            return x.json(JobReply(generation_job=await _full(conn, exchange, found.job_id)), 202)
        return x.json(
            Owed(
                matched=found.matched or 0,
                exact=bool(found.exact),
                oldest_epoch=None if found.oldest is None else epoch(found.oldest),
                newest_epoch=None if found.newest is None else epoch(found.newest),
            )
        )

    return await idempotency.once(exchange, order, scope=seen.project_id)


async def _switched(exchange: Exchange, *, on: bool) -> Reply:
    endpoint = (await endpoints.asked(exchange)).endpoint.id
    keys = exchange.api.config.secret_keys
    async with exchange.api.db.transaction() as conn:
        await endpoint_orders.switch(conn, endpoints.by(exchange), endpoint, on=on)
        found = await stored.get(conn, exchange.caller, str(endpoint), keys)
    return x.json(EndpointReply(endpoint=found.endpoint if found else None))


async def _full(conn: Link, exchange: Exchange, job: UUID) -> JobFull:
    [found] = await history.of_ids(conn, exchange.caller, [job])
    return job_views.full(found, await history.extras(conn, job))


def _entry(job: JobRow, last: Attempt | None) -> DeliveryEntry:
    return DeliveryEntry(**msgspec.structs.asdict(job_views.entry(job)), last_attempt=last)


def _time(at: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)
