"""Hot reads of a feed use its index, and open no partition that they need not, whatever is cached."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncClientCursor, AsyncConnection
from psycopg.rows import DictRow

from outboxd.store import events, feed, stream_tokens
from tests import seed
from tests.proofs import proves

Conn = AsyncConnection[DictRow]

DAYS = 30
TODAY = datetime(2030, 1, 31, tzinfo=UTC)
_PARTITIONS = """
do $$
declare
  v_part record;
begin
  for v_part in select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'outbox.feed'::regclass
  loop
    execute format('drop table outbox.%I', v_part.relname);
  end loop;
  for v_day in 0 .. {days} loop
    execute format('create table outbox.feed_day_%s partition of outbox.feed for values from (%L) to (%L)',
      v_day, timestamptz '{today}' - make_interval(days => {days} - v_day),
      timestamptz '{today}' - make_interval(days => {days} - v_day - 1));
  end loop;
end
$$
"""
_FILL = """
insert into outbox.feed (project_id, seq, sequenced_at, event_id, bytes, type)
select p.id, g, timestamptz '{today}' - interval '{days} days' + g * interval '4 min', gen_random_uuid(), 10,
  't'
from (select %s::uuid as id union all select gen_random_uuid() from generate_series(1, 9)) p
cross join generate_series(1, 10000) g
"""


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes(each)


async def plan(conn: Conn, statement: bytes, types: str, *values: Any) -> list[dict[str, Any]]:
    """What was really done, by a generic plan."""
    count = iter(range(1, 100))
    text = re.sub(r"%s", lambda _: f"${next(count)}", statement.decode())
    await conn.execute(f"prepare hot ({types}) as {text}".encode())
    await conn.execute("set plan_cache_mode = force_generic_plan")
    literal = ", ".join(["%s"] * len(values))
    cur = AsyncClientCursor(conn)
    await cur.execute(f"explain (analyze, format json) execute hot ({literal})".encode(), values)
    found = (await cur.fetchone() or {})["QUERY PLAN"]
    return list(nodes(found[0]["Plan"]))


@pytest.fixture(params=["fresh", "stale"])
async def busy(request: pytest.FixtureRequest, conn: Conn, tenant: seed.Tenant) -> seed.Tenant:
    """A feed of 30 days, with statistics and without."""
    words = {"days": DAYS, "today": TODAY.isoformat()}
    await conn.execute(_PARTITIONS.format(**words).encode())
    await conn.execute(_FILL.format(**words).encode(), (tenant.project,))
    if request.param == "fresh":
        await conn.execute("analyze outbox.feed")
    return tenant


@proves("G5")
async def test_what_is_new_is_read_from_the_newest_partition(conn: Conn, busy: seed.Tenant) -> None:
    since = TODAY - timedelta(days=DAYS) + timedelta(minutes=4 * 9990)
    given = (busy.project, 9990, 2**62, since, 500)
    found = await plan(conn, feed._ROWS, "uuid, bigint, bigint, timestamptz, bigint", *given)
    assert not [node for node in found if node["Node Type"] == "Seq Scan"]
    assert sum(node.get("Subplans Removed", 0) for node in found) >= DAYS - 4
    assert max(node["Actual Rows"] for node in found) <= 10


@proves("G5")
async def test_a_window_of_a_replay_reads_its_rows_by_the_index(conn: Conn, busy: seed.Tenant) -> None:
    given = (busy.project, 5000, 6000, feed.EVER, 1000)
    found = await plan(conn, feed._ROWS, "uuid, bigint, bigint, timestamptz, bigint", *given)
    assert not [node for node in found if node["Node Type"] == "Seq Scan"]
    assert 1000 == max(node["Actual Rows"] * node["Actual Loops"] for node in found)


@proves("G5")
async def test_events_of_a_feed_are_found_by_their_ids(conn: Conn, busy: seed.Tenant) -> None:
    await conn.execute(
        "insert into outbox.events"
        " (id, team_id, project_id, occurred_at, received_at, type, adapter, payload)"
        " select outbox.uuid7(now() + g * interval '1 ms'), %s, %s, now(), now(), 't', 'sql', '{}'"
        " from generate_series(1, 5000) g",
        (busy.team, busy.project),
    )
    cur = await conn.execute("select array_agg(id) as ids from (select id from outbox.events limit 5) x")
    ids = (await cur.fetchone() or {})["ids"]
    given = (1000, "0123abcd", ids, [1, 2, 3, 4, 5], [False] * 5, busy.project)
    found = await plan(conn, events._OF_FEED, "int, text, uuid[], bigint[], bool[], uuid", *given)
    assert "Seq Scan" not in {
        node["Node Type"] for node in found if node.get("Relation Name", "").startswith("events")
    }
    assert max(node["Actual Rows"] for node in found) <= 5


async def test_rights_and_standings_are_looked_up_by_key(conn: Conn, busy: seed.Tenant) -> None:
    """One statement for all, however many keys and feeds there are besides."""
    await conn.execute("set enable_seqscan = off")
    found = await plan(conn, stream_tokens._OPENING, "uuid[]", [busy.key_id])
    assert not [node for node in found if node["Node Type"] == "Seq Scan"]
