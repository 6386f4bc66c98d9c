"""Reading memory stands in the audit trail: who asked what, and which observations were told."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import structlog

from outboxd import telemetry
from outboxd.api.exchange import Exchange
from outboxd.errors import Error
from outboxd.handlers.memory.privacy import PRIVATE, strip_text
from outboxd.model.jobs import JobPage
from outboxd.model.observations import Memory
from outboxd.store import audit
from outboxd.store.search import SearchQuery

log = structlog.get_logger()

_ACTION = "observation.read"
_LONGEST_QUERY = 500
_MOST_IDS = 100
_PAGING = frozenset({"limit", "offset", "cursor", "include"})


async def note_read(
    exchange: Exchange,
    mode: str,
    found: Sequence[Memory],
    *,
    asked: SearchQuery | None = None,
    via: str | None = None,
) -> None:
    """A row, as far as one can be written: what was read is not taken back for it.

    `mode`: event_observations, search, context, recent, get; `via`: None for the API itself.
    """
    details = {
        "mode": mode,
        **(_question(asked) if asked else {}),
        "resultCount": len(found),
        "observationIds": [str(each.id) for each in found[:_MOST_IDS]],
        **({"via": via} if via else {}),
    }
    await _note(exchange, asked.project if asked else None, details)


async def note_jobs(
    exchange: Exchange, mode: str, page: JobPage, *, project: UUID | None, payloads: bool
) -> None:
    """The same of a list of jobs. `mode`: jobs_list, team_jobs, project_jobs."""
    filters = {name: said for name, said in exchange.query.items() if name not in _PAGING}
    details = {
        "mode": mode,
        "limit": page.limit,
        **({"filters": filters} if filters else {}),
        "resultCount": len(page.jobs),
        "includePayload": payloads,
    }
    await _note(exchange, project, details)


async def _note(exchange: Exchange, project: UUID | None, details: dict[str, Any]) -> None:
    try:
        async with exchange.api.db.connection() as conn:
            await audit.record(
                conn, exchange.caller, _ACTION, "observation", None, project=project, details=details
            )
    except Error as failed:
        telemetry.AUDIT_LOST_TOTAL.inc()
        log.warning("read not in the audit trail", code=failed.code, mode=details["mode"])


def _question(asked: SearchQuery) -> dict[str, Any]:
    filters = msgspec.to_builtins(asked.where.document)
    query = {} if asked.query is None else {"query": strip_text(asked.query, PRIVATE)[0][:_LONGEST_QUERY]}
    return {**query, "limit": asked.limit, **({"filters": filters} if filters else {})}
