"""GET /v1/workers: who is alive, doing what."""

import msgspec
from msgspec import UNSET

from outboxd.api import cursors, queries
from outboxd.api import exchange as x
from outboxd.api.exchange import Exchange, Reply
from outboxd.model.queues import Worker, WorkerPage
from outboxd.store import crew

LIST_QUERY = frozenset({"limit", "cursor"})


async def listed(exchange: Exchange) -> Reply:
    """GET /v1/workers: an operator key sees all, others those that came with a key of their team"""
    limit, after = queries.limit(exchange), cursors.read(exchange)
    team, own = exchange.caller.team_id, exchange.key.project_id if exchange.key else None
    async with exchange.api.db.connection() as conn:
        found = await crew.listed(conn, team, own, after=after, limit=limit + 1)
    more = found[limit - 1].id if len(found) > limit else None
    shown = found[:limit] if team is None else [*map(_bare, found[:limit])]
    return x.json(WorkerPage(workers=shown, next_cursor=cursors.write(exchange, more)))


def _bare(worker: Worker) -> Worker:
    """Without the machine it runs on."""
    return msgspec.structs.replace(worker, host=UNSET, pid=UNSET)
