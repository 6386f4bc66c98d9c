"""The four views of a job, all made of one row."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec import UNSET, Raw, UnsetType

from outboxd.model import JobDescriptor, JobEntry, JobError, JobFull, JobWait, epoch
from outboxd.model.jobs import SourceType, Transport
from outboxd.store.history import Extras, JobRow

GENERATION = "observe"
"""The handler whose job is its event's generation job."""
_SUMMARY = "summarize"
_JOB_TYPES = {
    GENERATION: "observation_generate_for_event",
    _SUMMARY: "observation_generate_session_summary",
}
_MS = timedelta(milliseconds=1)


def descriptor(job: JobRow) -> JobDescriptor:
    return JobDescriptor(**_descriptor(job))


def wait(job: JobRow) -> JobWait:
    return JobWait(**_descriptor(job), attempts=job.attempt, max_attempts=job.max_attempts)


def entry(job: JobRow, payload: Raw | UnsetType = UNSET) -> JobEntry:
    return JobEntry(**_entry(job), payload=payload)


def full(job: JobRow, extras: Extras, payload: Raw | UnsetType = UNSET) -> JobFull:
    ended = job.told_at if job.state == "cancelled" else None
    return JobFull(
        **_entry(job),
        payload=payload,
        agent_event_id=job.event_id,
        server_session_id=job.session_id,
        job_type=_JOB_TYPES.get(job.handler, job.handler),
        bullmq_job_id=str(job.id),
        next_attempt_at_epoch=epoch(job.run_at) if job.state == "queued" else None,
        cancelled_at_epoch=_epoch(ended),
        updated_at_epoch=epoch(_updated(job)),
        progress=extras.progress,
        output=extras.output,
        deadline_epoch=epoch(job.deadline),
        expires_at_epoch=_epoch(job.expires_at),
    )


def _descriptor(job: JobRow) -> dict[str, Any]:
    kind, source = _source(job)
    transport: Transport = "queued_only" if job.stopped else "enqueued"
    return {
        "id": job.id,
        "status": job.state,
        "bullmq_job_id": str(job.id),
        "source_type": kind,
        "source_id": source,
        "transport": transport,
        "created_at_epoch": epoch(job.created_at),
        "updated_at_epoch": epoch(_updated(job)),
    }


def _entry(job: JobRow) -> dict[str, Any]:
    kind, source = _source(job)
    return {
        "id": job.id,
        "project_id": job.project_id,
        "team_id": job.team_id,
        "source_type": kind,
        "source_id": source,
        "status": job.state,
        "attempts": job.attempt,
        "max_attempts": job.max_attempts,
        "created_at_epoch": epoch(job.created_at),
        "completed_at_epoch": _epoch(job.told_at if job.state == "completed" else None),
        "failed_at_epoch": _epoch((job.failed_at or job.told_at) if job.state == "failed" else None),
        "last_error": _error(job),
        "queue": job.queue,
        "handler": job.handler,
        "priority": job.priority,
        "ordering_key": job.ordering_key,
        "run_at_epoch": epoch(job.run_at),
        "outcome": job.outcome,
        "event_count": job.event_count,
        "held_reason": job.held,
        "retried_count": job.series,
        "request_id": job.request_id,
    }


def _source(job: JobRow) -> tuple[SourceType, UUID]:
    if job.handler == _SUMMARY and job.session_id is not None:
        return "session_summary", job.session_id
    return ("direct", job.id) if job.event_id is None else ("agent_event", job.event_id)


def _error(job: JobRow) -> JobError | None:
    """Of the last execution that failed; a completed job has none."""
    if job.erred_at is None or job.state == "completed":
        return None
    retry = None if job.retry_at is None else round((job.retry_at - job.erred_at) / _MS)
    kind = job.class_ or "unknown"
    return JobError(
        reason=job.error or kind,
        classification=kind,
        attempt=job.failed_attempt,
        status=job.status,
        retry_in_ms=retry,
    )


def _updated(job: JobRow) -> datetime:
    return max(at for at in (job.created_at, job.told_at, job.claimed_at, job.failed_at) if at)


def _epoch(at: datetime | None) -> int | None:
    return None if at is None else epoch(at)
