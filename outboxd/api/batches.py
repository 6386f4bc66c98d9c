"""A batch stands in the audit trail as one: how many events it stored, and their jobs of generation."""

from collections.abc import Sequence

import structlog

from outboxd import telemetry
from outboxd.api import job_views
from outboxd.api.exchange import Exchange
from outboxd.api.published import Item
from outboxd.errors import Error
from outboxd.store import audit

log = structlog.get_logger()

_ACTION = "event.batch_received"
_MOST_JOBS = 100


async def note(exchange: Exchange, items: Sequence[Item]) -> None:
    """A row for those that were not there before, as far as one can be written: they are committed.

    Not in their transaction, which they share with other requests and which may be repeated.
    """
    fresh = [each for each in items if not each.outcome.known]
    if not fresh:
        return
    projects = {each.incoming.project_id for each in fresh}
    jobs = [str(job.id) for each in fresh for job in each.outcome.jobs if job.handler == job_views.GENERATION]
    project = next(iter(projects)) if len(projects) == 1 else None
    details = {"eventCount": len(fresh), "generationJobIds": jobs[:_MOST_JOBS]}
    try:
        async with exchange.api.db.connection() as conn:
            await audit.record(
                conn, exchange.caller, _ACTION, "agent_event", None, project=project, details=details
            )
    except Error as failed:
        telemetry.AUDIT_LOST_TOTAL.inc()
        log.warning("batch not in the audit trail", code=failed.code, events=len(fresh))
