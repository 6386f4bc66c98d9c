"""Rows of outboxevent arrive once, in order, by the rights of who wrote them; a bad one blocks nobody."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from outboxd.db.pool import Database
from outboxd.loops.debezium import Debezium
from outboxd.loops.wakes import Wakes
from outboxd.store import event_keys, outboxevents
from tests import seed
from tests.seed import Tenant

Conn = AsyncConnection[DictRow]
ROW: dict[str, Any] = {
    "aggregatetype": "order",
    "aggregateid": "7",
    "type": "paid",
    "payload": Jsonb({"a": 1}),
}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def write(conn: Conn, **fields: Any) -> UUID:
    row = {"id": uuid4(), **ROW, **fields}
    names = ", ".join(f'"{name}"' for name in row)
    await conn.execute(
        f"insert into outbox.outboxevent ({names}) values ({', '.join(['%s'] * len(row))})".encode(),
        [*row.values()],
    )
    return UUID(str(row["id"]))


async def drained(db: Database) -> int:
    return await Debezium(db, Wakes()).once()


async def events(conn: Conn) -> list[DictRow]:
    return await (await conn.execute("select * from outbox.events order by id")).fetchall()


async def left(conn: Conn) -> dict[int, str | None]:
    cur = await conn.execute("select n, refused_reason from outbox.outboxevent order by n")
    return {row["n"]: row["refused_reason"] for row in await cur.fetchall()}


@contextlib.asynccontextmanager
async def producer(conn: Conn, dsn: str, *bound: UUID) -> AsyncIterator[tuple[str, Conn]]:
    """A login that may publish, in a session of its own."""
    role = f"p_{uuid4().hex}"
    await conn.execute(f"create role {role} login in role outbox_producer".encode())
    for project in bound:
        await conn.execute("insert into outbox.producers values (%s, %s)", [role, project])
    async with await AsyncConnection.connect(dsn, autocommit=True, row_factory=psycopg.rows.dict_row) as own:
        await own.execute(f"set session authorization {role}".encode())
        yield role, own
    await conn.execute(f"drop owned by {role}".encode())
    await conn.execute(f"drop role {role}".encode())


async def test_each_column_goes_where_the_page_says(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "paid", "q", handler="h")
    id_ = await write(
        conn,
        timestamp="2026-01-02T03:04:05Z",
        tracingspancontext=f"#Fri Jan 02\ntraceparent={TRACE}\nuber-trace-id=1\n",
    )

    assert 1 == await drained(db)
    [event] = await events(conn)
    assert {
        "type": "paid", "ordering_key": "7", "subject": "order/7", "source_event_id": str(id_),
        "metadata": {"aggregateType": "order"}, "payload": {"a": 1}, "traceparent": TRACE,
        "adapter": "debezium", "project_id": tenant.project,
    } == {name: event[name] for name in (
        "type", "ordering_key", "subject", "source_event_id", "metadata", "payload", "traceparent",
        "adapter", "project_id",
    )}  # fmt: skip
    assert "2026-01-02T03:04:05" == event["occurred_at"].strftime("%Y-%m-%dT%H:%M:%S")
    key = event_keys.of_source(tenant.team, tenant.project, "debezium", None, str(id_))
    cur = await conn.execute("select key from outbox.event_keys")
    assert [key] == [row["key"] for row in await cur.fetchall()]
    assert {"events": 1, "jobs": 1, "pending": 1} == {
        name: n for name, n in (await seed.counts(conn)).items() if name in {"events", "jobs", "pending"}
    }
    assert {} == await left(conn)


async def test_rows_arrive_once_in_the_order_of_n(db: Database, conn: Conn) -> None:
    await seed.tenant(conn)
    ids = [await write(conn, aggregateid=str(n)) for n in range(7)]
    await write(conn, id=ids[0])

    runs = [len(await db.run(lambda link: outboxevents.drain(link, 3))) for _ in range(4)]

    assert [3, 3, 2, 0] == runs
    assert [str(n) for n in range(7)] == [event["ordering_key"] for event in await events(conn)]
    assert {} == await left(conn)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"type": "outboxd.x"}, "p_type: outboxd.* is reserved"),
    ({"aggregateid": ""}, "p_ordering_key: 1 to 255 characters"),
    ({"aggregatetype": "x" * 255}, "p_subject: at most 255 characters"),
    ({"timestamp": "1960-01-01T00:00:00Z"}, "p_occurred_at: year 1970 to 9999"),
    ({"payload": Jsonb("x" * 5_300_000)}, "p_payload: at most 5242880 bytes"),
    ({"project_id": UUID(int=1)}, "project_id must belong to team_id"),
]


async def test_a_refused_row_stays_with_its_reason_and_does_not_block(db: Database, conn: Conn) -> None:
    await seed.tenant(conn)
    for fields, _ in REFUSED:
        await write(conn, **fields)
    await write(conn)

    first, again = await drained(db), await drained(db)

    assert (len(REFUSED) + 1, 0) == (first, again)
    assert 1 == len(await events(conn))
    assert [reason for _, reason in REFUSED] == [*(await left(conn)).values()]


async def test_a_row_that_nobody_foresaw_is_refused_alone(db: Database, conn: Conn) -> None:
    await seed.tenant(conn)
    await conn.execute("alter table outbox.events add constraint odd check (type <> 'odd')")
    for type_ in ("a", "odd", "b"):
        await write(conn, type=type_)

    assert 3 == await drained(db)
    assert ["a", "b"] == [event["type"] for event in await events(conn)]
    assert ["cannot be stored: SQLSTATE 23514"] == [*(await left(conn)).values()]

    await conn.execute("alter table outbox.events drop constraint odd")
    await conn.execute("update outbox.outboxevent set refused_at = null, refused_reason = null")
    assert 1 == await drained(db)
    assert {} == await left(conn)


async def test_a_row_whose_key_is_held_waits_alone(db: Database, conn: Conn, dsn: str) -> None:
    tenant = await seed.tenant(conn)
    held = await write(conn, type="held")
    await write(conn, type="free")
    key = event_keys.of_source(tenant.team, tenant.project, "debezium", None, str(held))
    async with await AsyncConnection.connect(dsn) as other:
        await other.execute(
            "insert into outbox.event_keys values (%s, %s, gen_random_uuid(), '', now() + interval '1 day')",
            [tenant.project, key],
        )
        assert 1 == await drained(db)
        assert ["free"] == [event["type"] for event in await events(conn)]
        await other.rollback()

    assert 1 == await drained(db)
    assert {"free", "held"} == {event["type"] for event in await events(conn)}


@pytest.mark.proves("T5")
async def test_a_row_reaches_the_projects_of_who_wrote_it(db: Database, conn: Conn, dsn: str) -> None:
    tenant, other = await seed.tenant(conn), await seed.tenant(conn, "other")
    async with producer(conn, dsn, tenant.project) as (role, own):
        await write(own, type="own")
        await write(own, type="foreign", project_id=other.project)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await write(own, producer="postgres")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await own.execute("select * from outbox.outboxevent")
        await own.execute("create temp view outbox_events as select * from outbox.outboxevent")
        await drained(db)

        [event] = await events(conn)
        assert ("own", tenant.project, f"sql:{role}") == (event["type"], event["project_id"], event["actor"])
        assert ["this role may not publish to that project"] == [*(await left(conn)).values()]


async def test_a_setting_of_the_session_names_the_project(db: Database, conn: Conn) -> None:
    _, other = await seed.tenant(conn), await seed.tenant(conn, "other")
    await write(conn, type="nowhere")
    await conn.execute("select set_config('outbox.project', %s, false)", [str(other.project)])
    await write(conn, type="somewhere")
    await drained(db)

    assert [other.project] == [event["project_id"] for event in await events(conn)]
    assert ["no project: pass p_project or set outbox.project"] == [*(await left(conn)).values()]


async def test_one_loop_at_a_time_takes_rows(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await write(conn)
    async with db.transaction() as first:
        assert 1 == len(await outboxevents.drain(first))
        assert 0 == await drained(db)

    assert 1 == len(await events(conn))
    assert tenant.project == (await events(conn))[0]["project_id"]


async def test_loops_that_run_at_once_make_each_row_one_event(db: Database, conn: Conn) -> None:
    await seed.tenant(conn)
    ids = {str(await write(conn)) for _ in range(50)}

    async def loop() -> None:
        while await left(conn):
            await drained(db)

    await asyncio.gather(*(loop() for _ in range(4)))

    assert sorted(ids) == sorted(event["source_event_id"] for event in await events(conn))


async def test_a_table_that_is_written_under_another_name_is_a_view(db: Database, conn: Conn) -> None:
    tenant: Tenant = await seed.tenant(conn)
    await conn.execute("create view public.outbox_table as select * from outbox.outboxevent")
    await conn.execute(
        "insert into public.outbox_table (id, aggregatetype, aggregateid, type, payload)"
        " values (gen_random_uuid(), 'a', '1', 'viewed', '{}')"
    )
    await drained(db)

    assert [("viewed", tenant.project)] == [(e["type"], e["project_id"]) for e in await events(conn)]
