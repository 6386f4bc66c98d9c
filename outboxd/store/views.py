"""The operators' views, as rows for people and machines.

Their columns are promised (`sql/views`); here they get the names that JSON has: `oldest_due_at`
becomes `oldestDueAtEpoch` in milliseconds, spans stay spans.
"""

from datetime import datetime
from typing import Any, Literal

from psycopg import AsyncConnection, sql

from outboxd.model import epoch

Conn = AsyncConnection[dict[str, Any]]

View = Literal[
    "audit_trail", "blocked_lanes", "chore_health", "dead_jobs", "endpoint_health", "failure_groups",
    "held_jobs", "held_partitions", "key_use", "live_workers", "open_leases", "pending_stalled",
    "provider_health", "queue_depth", "server_health", "stream_lag", "stuck_jobs", "table_health",
    "tenant_depth", "throughput", "usage_by_day", "vacuum_pins",
]  # fmt: skip


async def rows(
    conn: Conn, view: View, *, order: str, limit: int, equal: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The first `limit` rows by `order` (`due desc, queue`); `equal` names columns and what they must be."""
    by = [_ordered(part.strip()) for part in order.split(",")]
    where = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in equal or {}]
    query = sql.SQL("select * from outbox.{}{} order by {} limit {}").format(
        sql.Identifier(view),
        sql.SQL(" where ") + sql.SQL(" and ").join(where) if where else sql.SQL(""),
        sql.SQL(", ").join(by),
        sql.Literal(limit),
    )
    cur = await conn.execute(query, equal or {})
    return [_named(row) for row in await cur.fetchall()]


def _ordered(part: str) -> sql.Composable:
    name, _, way = part.partition(" ")
    last = sql.SQL(" desc nulls last") if way == "desc" else sql.SQL("")
    return sql.Identifier(name) + last


def _named(row: dict[str, Any]) -> dict[str, Any]:
    return {
        _camel(name) + ("Epoch" if isinstance(value, datetime) or name.endswith(("_at", "_until")) else ""): (
            epoch(value) if isinstance(value, datetime) else value
        )
        for name, value in row.items()
    }


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
