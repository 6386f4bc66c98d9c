"""POST /v1/jobs: a job without an event."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from outboxd.api import exchange as x
from outboxd.api import idempotency, job_views, json_checks, tenancy
from outboxd.api.edge import TRACEPARENT
from outboxd.api.exchange import Exchange, Reply
from outboxd.api.wire import Epoch, Named
from outboxd.db.link import Link
from outboxd.errors import Issue, TooLarge
from outboxd.model.jobs import JobReply
from outboxd.model.raw import AnyJson, no_members
from outboxd.store import audit, direct_jobs, history
from outboxd.store.direct_jobs import Enqueued

QueueName = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[a-z0-9][a-z0-9._:-]*$(?!\n)")]

_MOST_BYTES = 1024 * 1024
_TIMES = {"runAt": "runAtEpoch", "deadline": "deadlineEpoch", "expiresAt": "expiresAtEpoch"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class JobIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """There is no ordering key: what must be done in order is published as events."""

    queue: QueueName
    project_id: str | None = None
    payload: AnyJson = msgspec.field(default_factory=no_members)
    handler: Named | None = None
    """Of a queue that is new; else `pull:<queue>`."""
    priority: Annotated[int, Meta(ge=-100, le=100)] | None = None
    run_at_epoch: Epoch | None = None
    max_attempts: Annotated[int, Meta(ge=1, le=100)] | None = None
    timeout_ms: Annotated[int, Meta(ge=1000, le=86_400_000)] | None = None
    deadline_epoch: Epoch | None = None
    expires_at_epoch: Epoch | None = None
    unique_key: Named | None = None
    unique_until: Literal["ended", "started"] | None = None
    on_duplicate: Literal["keep"] | None = None
    traceparent: Annotated[str, Meta(max_length=255)] | None = None
    watched: bool | None = None
    """Its end is told at once to those who wait for it."""


class JobMade(JobReply, frozen=True, kw_only=True, rename="camel"):
    duplicate: Literal[True] | UnsetType = UNSET
    """A living job has the unique key: this is that one."""


BODY = msgspec.json.Decoder(JobIn)


async def make(exchange: Exchange) -> Reply:
    """POST /v1/jobs: a job without an event, in a queue whose handler is open to tenants"""
    given: JobIn = exchange.body
    project = await tenancy.written_project(exchange, given.project_id)
    if len(given.payload) > _MOST_BYTES:
        issue = Issue(path=("payload",), code="too_big", message="larger than 1 MiB")
        raise TooLarge("the payload is larger than 1 MiB", issues=(issue,))
    await exchange.api.backlogs.admit({project})
    options = _options(exchange, given)

    async def write(conn: Link) -> Reply:
        by = tenancy.by_key(exchange, "jobs:write")
        made = await direct_jobs.enqueue(conn, by, given.queue, given.payload, project, options)
        if not made.duplicate:
            await _note(exchange, conn, made.job_id, project, given)
        return await _told(exchange, conn, made)

    with json_checks.named(**_TIMES):
        return await idempotency.once(exchange, write, scope=project)


async def _note(exchange: Exchange, conn: Link, job: UUID, project: UUID, given: JobIn) -> None:
    said = {"queue": given.queue, "uniqueKey": given.unique_key}
    details = {name: value for name, value in said.items() if value is not None}
    await audit.record(
        conn, exchange.caller, "job.enqueued", "job", str(job), project=project, details=details
    )


async def _told(exchange: Exchange, conn: Link, made: Enqueued) -> Reply:
    [job] = await history.of_ids(conn, exchange.caller, [made.job_id])
    full = job_views.full(job, await history.extras(conn, job.id))
    return x.json(JobMade(generation_job=full, duplicate=True if made.duplicate else UNSET), 201)


def _options(exchange: Exchange, given: JobIn) -> dict[str, Any]:
    """As `outbox.enqueue` reads them. A trace context that is malformed is as none."""
    trace = given.traceparent
    said = {
        "handler": given.handler,
        "priority": given.priority,
        "runAt": _iso(given.run_at_epoch),
        "maxAttempts": given.max_attempts,
        "timeoutMs": given.timeout_ms,
        "deadline": _iso(given.deadline_epoch),
        "expiresAt": _iso(given.expires_at_epoch),
        "uniqueKey": given.unique_key,
        "uniqueUntil": given.unique_until,
        "traceparent": trace if trace and TRACEPARENT.fullmatch(trace.encode()) else exchange.traceparent,
        "watched": given.watched,
    }
    return {name: value for name, value in said.items() if value is not None}


def _iso(epoch: int | None) -> str | None:
    return None if epoch is None else (_EPOCH + timedelta(milliseconds=epoch)).isoformat()
