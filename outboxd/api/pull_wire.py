"""What workers elsewhere send, and how it becomes what is claimed and settled."""

import re
from datetime import timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from outboxd.api.exchange import Exchange
from outboxd.api.json_checks import refused
from outboxd.api.wire import EventIn, uuid_of
from outboxd.errors import NotFound
from outboxd.model import Claimed
from outboxd.model.events import Event
from outboxd.model.pull import Claim, Lease, PulledJob
from outboxd.model.raw import AnyJson
from outboxd.model.times import epoch

NOTHING = UUID(int=0)
"""The id of nothing: what stands for one that is not well formed."""
MOST = 100
_SOON = 1000
_QUEUE = re.compile(r"[a-z0-9][a-z0-9._:-]{0,99}")
_JobId = Annotated[str, Meta(max_length=100)]
_JobIds = Annotated[list[_JobId], Meta(min_length=1, max_length=MOST)]
_LeaseSeconds = Annotated[int, Meta(ge=5, le=3600)]


def _absent() -> Raw:
    return Raw()


class ClaimIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    worker: Annotated[str, Meta(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)")]
    """A name that the worker gives itself; with the key it is who it is."""
    limit: Annotated[int, Meta(ge=1, le=MOST)] | None = None
    """10 unless given."""
    lease_seconds: _LeaseSeconds | None = None
    """60 unless given."""
    wait_ms: Annotated[int, Meta(ge=0, le=30_000)] | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a claim asks for."""

    worker: str
    limit: int
    lease: timedelta
    wait: timedelta


class ErrorIn(
    msgspec.Struct, frozen=True, kw_only=True, rename={"class_": "class"}, forbid_unknown_fields=True
):
    class_: Annotated[str, Meta(max_length=100)] | None = None
    message: str | None = None
    """Cut at 2,000 characters."""
    status: Annotated[int, Meta(ge=0, le=999)] | None = None


class ResultIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    job_id: _JobId
    outcome: Literal["completed", "failed", "timed_out", "snoozed", "cancelled"]
    output: AnyJson = msgspec.field(default_factory=_absent)
    """At most 16 KiB, or null stands in its place."""
    error: ErrorIn | None = None
    retry_in_ms: Annotated[int, Meta(ge=0, le=86_400_000)] | None = None
    final: bool | None = None
    """No further attempt."""
    for_ms: Annotated[int, Meta(ge=0, le=31_622_400_000)] | None = None
    """Of `snoozed`, which needs it."""
    reason: Annotated[str, Meta(max_length=200)] | None = None


class EventOfJob(EventIn, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """An event as `POST /v1/events` takes it, of the job's own project."""


class SettleIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    results: Annotated[list[ResultIn], Meta(min_length=1, max_length=MOST)]
    events: Annotated[list[EventOfJob], Meta(max_length=MOST)] | None = None


class ExtendIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    lease_seconds: _LeaseSeconds
    job_ids: _JobIds | None = None


class ReleaseIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    job_ids: _JobIds | None = None
    reason: Annotated[str, Meta(min_length=1, max_length=100)] | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    percent: Annotated[float, Meta(ge=0, le=100)] | UnsetType = UNSET
    note: Annotated[str, Meta(max_length=200)] | UnsetType = UNSET


class ReportIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    job_id: _JobId
    progress: Progress | None = None
    checkpoint: AnyJson = msgspec.field(default_factory=_absent)
    """At most 64 KiB, handed to the next attempt."""


CLAIM = msgspec.json.Decoder(ClaimIn)
SETTLE = msgspec.json.Decoder(SettleIn)
EXTEND = msgspec.json.Decoder(ExtendIn)
RELEASE = msgspec.json.Decoder(ReleaseIn)
REPORT = msgspec.json.Decoder(ReportIn)


def lease_id(exchange: Exchange) -> UUID:
    """Raises NotFound for what is no id, which nothing has."""
    found = uuid_of(exchange.parameter("lease"))
    if found is None:
        raise NotFound("Lease not found")
    return found


def queue(exchange: Exchange) -> str:
    """Raises NotFound for what is no name, which nothing has."""
    found = exchange.parameter("queue")
    if not _QUEUE.fullmatch(found):
        raise NotFound("Queue not found")
    return found


def path_job(exchange: Exchange) -> UUID:
    """Raises NotFound for what is no id, which nothing has."""
    found = uuid_of(exchange.parameter("id"))
    if found is None:
        raise NotFound("Job not found")
    return found


def job_id(text: str) -> UUID:
    return uuid_of(text) or NOTHING


def wanted(asked: ClaimIn) -> Wanted:
    return Wanted(
        worker=asked.worker,
        limit=asked.limit or 10,
        lease=timedelta(seconds=asked.lease_seconds or 60),
        wait=timedelta(milliseconds=asked.wait_ms or 0),
    )


def given(document: Raw) -> Raw | None:
    """None where it was left out, or is null."""
    return None if bytes(document) in {b"", b"null"} else document


def results(settled: SettleIn, lease: UUID, ms: int) -> bytes:
    """As `outbox.settle` takes them. Raises Invalid for two about one job, and a snooze without its time."""
    seen: set[UUID] = set()
    for n, each in enumerate(settled.results):
        if (job := job_id(each.job_id)) in seen:
            raise refused("one result a job", ("results", str(n), "jobId"), "invalid_value")
        seen.add(job)
        if each.outcome == "snoozed" and each.for_ms is None:
            raise refused("Required", ("results", str(n), "forMs"), "required")
    return msgspec.json.encode([_result(each, lease, ms) for each in settled.results])


def claim(lease: Lease | None, jobs: list[PulledJob], *, paused: bool, waited: bool) -> Claim:
    """What a claim is answered with."""
    return Claim(
        lease=lease,
        jobs=jobs,
        retry_after_ms=0 if jobs or waited else _SOON,
        paused=True if paused and not jobs else UNSET,
    )


def job(claimed: Claimed, event: Event | None) -> PulledJob:
    large = claimed.payload is None
    return PulledJob(
        id=claimed.job_id,
        attempt=claimed.attempt,
        max_attempts=claimed.max_attempts,
        queue=claimed.queue,
        handler=claimed.handler,
        priority=claimed.priority,
        event=None if event is None else msgspec.structs.replace(event, payload=UNSET),
        payload=Raw(b"null") if large else claimed.payload,
        payload_url=f"/v1/leases/{claimed.lease_id}/jobs/{claimed.job_id}/payload" if large else UNSET,
        ordering_key=claimed.ordering_key,
        timeout_ms=round(claimed.timeout.total_seconds() * 1000),
        deadline_epoch=epoch(claimed.deadline),
        request_id=claimed.request_id,
        traceparent=claimed.traceparent,
        checkpoint=claimed.checkpoint,
    )


def _result(each: ResultIn, lease: UUID, ms: int) -> dict[str, Any]:
    said = each.error or ErrorIn()
    whole = {
        "lease": lease,
        "job": job_id(each.job_id),
        "outcome": each.outcome,
        "ms": ms,
        "output": given(each.output),
        "class": said.class_,
        "status": said.status,
        "error": said.message,
        "retryInMs": each.retry_in_ms,
        "final": each.final,
        "forMs": each.for_ms,
        "reason": each.reason,
    }
    return {name: value for name, value in whole.items() if value is not None}
