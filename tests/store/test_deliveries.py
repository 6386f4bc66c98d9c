"""What a delivery reads costs the same however long its project's feed is."""

import json
from typing import Any

import pytest
from psycopg import AsyncConnection

from outboxd.store import deliveries
from tests import seed

Conn = AsyncConnection[dict[str, Any]]

_ENDPOINT = """
select outbox.open_endpoint(outbox.me(), gen_random_uuid(), %s,
  '{"url": "https://x.example/", "types": ["*"], "state": "enabled", "ordering": "none", "timeout": "15 s",
    "max_age": "7 days", "terminal_4xx": false, "max_body_bytes": 1024, "metadata": {}}',
  '{"attempts": 3, "backoff": {"scheduleMs": [5000]}, "timeoutMs": 15000}', null)
"""


@pytest.mark.parametrize("mode", ["auto", "force_generic_plan"])
async def test_the_position_is_found_by_the_event_also_without_statistics(conn: Conn, mode: str) -> None:
    tenant = await seed.tenant(conn)
    await conn.execute(_ENDPOINT, [tenant.project])
    await conn.execute(
        "select count(outbox.publish('a.b', p_project => %s)) from generate_series(1, 5000)", [tenant.project]
    )
    for _ in range(5):
        await conn.execute("select outbox.sequence(array[%s::uuid])", [tenant.project])
    plan = json.dumps(await explained(conn, mode))

    assert "feed_all_event_id_idx" in plan
    assert "feed_all_pkey" not in plan


async def explained(conn: Conn, mode: str) -> Any:
    statement = deliveries.READ.decode() % {"attempt": "$1", "event": "$2", "queue": "$3"}
    await conn.execute(f"set plan_cache_mode = {mode}".encode())
    await conn.execute(f"prepare one(int, uuid, text) as {statement}".encode())
    cur = await conn.execute("select event_id from outbox.feed order by seq desc limit 1")
    row = await cur.fetchone()
    assert row is not None
    cur = await conn.execute(
        f"explain (format json) execute one(1, '{row['event_id']}', 'endpoint:x')".encode()
    )
    return await cur.fetchall()
