"""GET /v1/audit: who did what, and what followed."""

import re

import structlog

from outboxd.api import cursors, queries, tenancy
from outboxd.api import exchange as x
from outboxd.api.exchange import Exchange, Reply
from outboxd.errors import Error
from outboxd.model.audit import AuditPage
from outboxd.store import audit, trail
from outboxd.store.trail import TrailFilter

log = structlog.get_logger()

SCOPE = "audit:read"
QUERY = frozenset(
    [
        "action", "resourceType", "resourceId", "actorId", "apiKeyId", "requestId", "projectId", "eventId",
        "jobId", "since", "until", "limit", "cursor",
    ]
)  # fmt: skip
_ACTION = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*(\.\*)?")


async def listed(exchange: Exchange) -> Reply:
    """GET /v1/audit: newest first; itself in the trail"""
    where = await _filter(exchange)
    limit, after = queries.limit(exchange), cursors.read(exchange)
    async with exchange.api.db.connection() as conn:
        found = await trail.page(conn, exchange.caller, where, after=after, limit=limit + 1)
    entries = found.entries[:limit]
    more = entries[-1].id if len(found.entries) > limit else found.resume
    await _note(exchange, where, len(entries))
    return x.json(AuditPage(entries=entries, next_cursor=cursors.write(exchange, more)))


async def _filter(exchange: Exchange) -> TrailFilter:
    action = queries.text(exchange, "action", 100)
    if action is not None and not _ACTION.fullmatch(action):
        raise queries.refused("action", "an action, or a prefix as api_key.*")
    return TrailFilter(
        action=action,
        resource_type=queries.text(exchange, "resourceType", 100),
        resource_id=queries.text(exchange, "resourceId", 255),
        actor_id=queries.text(exchange, "actorId", 255),
        api_key_id=queries.ident(exchange, "apiKeyId"),
        request_id=queries.text(exchange, "requestId", 64),
        project_id=await tenancy.asked_project(exchange),
        event_id=queries.ident(exchange, "eventId"),
        job_id=queries.ident(exchange, "jobId"),
        since=queries.time(exchange, "since"),
        until=queries.time(exchange, "until"),
    )


async def _note(exchange: Exchange, where: TrailFilter, found: int) -> None:
    """That it was read; a line that cannot be written does not make it a 500."""
    details = {"filters": {**exchange.query}, "resultCount": found}
    project = where.project_id or (exchange.key.project_id if exchange.key else None)
    try:
        async with exchange.api.db.connection() as conn:
            await audit.record(
                conn, exchange.caller, "audit.read", "audit", None, project=project, details=details
            )
    except Error as failed:
        log.warning("read not in the audit trail", code=failed.code)
