"""All doors end in one function: same rows, same keys, and what is refused leaves no trace."""

import asyncio
import logging
import random
from typing import Any

import httpx
import pytest
import structlog
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from outboxd.loops.debezium import Debezium
from outboxd.loops.wakes import Wakes
from tests import seed
from tests.api.served import Served, problem, serving
from tests.seed import Tenant

Conn = AsyncConnection[DictRow]

PUBLISH = "select outbox.publish('a', p_project => %s, p_key => 'k')"
MIB = 1024 * 1024
CE = {"ce-specversion": "1.0", "ce-source": "/s", "ce-type": "order.paid", "content-type": "application/json"}
WRITTEN = ("events", "event_keys", "jobs", "ready", "later", "pending", "idempotency")
OWN = {"id", "adapter", "actor", "key_id", "request_id", "received_at", "metadata", "event_id"}
"""Columns of events and jobs that tell the doors apart, or the rows."""
OF_CLOUD_EVENTS = {"source", "encoding", "content_type", "attributes"}


async def rows(conn: Conn, table: str) -> list[dict[str, Any]]:
    found = await (await conn.execute(f"select * from outbox.{table} order by id".encode())).fetchall()
    return [
        {name: value for name, value in row.items() if name not in OWN | OF_CLOUD_EVENTS} for row in found
    ]


async def by_every_door(served: Served, db: Database, conn: Conn, tenant: Tenant) -> None:
    await served.http.post(
        "/v1/events",
        json={
            "eventType": "order.paid", "payload": {"n": 1.0, "b": [2, None]}, "subject": "order/7",
            "orderingKey": "7", "sourceEventId": "e7", "occurredAtEpoch": 1_767_225_600_000,
        },
    )  # fmt: skip
    await conn.execute(
        """
        select outbox.publish('order.paid', '{"b": [2, null], "n": 1.0}', p_project => %s,
          p_subject => 'order/7', p_ordering_key => '7', p_source_event_id => 'e7',
          p_occurred_at => '2026-01-01T00:00:00Z')
        """,
        [tenant.project],
    )
    attributes = {"id": "e7", "subject": "order/7", "partitionkey": "7", "time": "2026-01-01T01:00:00+01:00"}
    headers = CE | {f"ce-{name}": value for name, value in attributes.items()}
    await served.http.post("/v1/events", headers=headers, content=b'{"n":1.0,"b":[2,null]}')
    await conn.execute(
        """
        insert into outbox.outboxevent
          (id, aggregatetype, aggregateid, type, payload, "timestamp", project_id)
        values ('00000000-0000-0000-0000-0000000000e7', 'order', '7', 'order.paid',
          '{"n": 1.0, "b": [2, null]}', '2026-01-01T00:00:00Z', %s)
        """,
        [tenant.project],
    )
    await Debezium(db, Wakes()).once()
    await served.http.post(
        "/v1/schedules",
        json={
            "name": "e7", "cron": "@yearly", "type": "order.paid", "payload": {"n": 1.0, "b": [2, None]},
            "subject": "order/7", "orderingKey": "7",
        },
    )  # fmt: skip
    await conn.execute("update outbox.schedules set next_at = '2026-01-01T00:00:00Z'")
    await conn.execute("select outbox.tick(s.id, s.next_at, null, 0) from outbox.schedules s")


@pytest.mark.proves("E8")
async def test_every_door_writes_the_same_rows(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "order.*", "q", handler="h")
    async with serving(db, tenant.key) as served:
        await by_every_door(served, db, conn, tenant)
    events, jobs = await rows(conn, "events"), await rows(conn, "jobs")
    cur = await conn.execute("select adapter, source_event_id from outbox.events order by id")
    doors = {row["adapter"]: row["source_event_id"] for row in await cur.fetchall()}

    last = "00000000-0000-0000-0000-0000000000e7"
    assert {"api": "e7", "sql": "e7", "cloudevents": "e7", "debezium": last, "schedule": None} == doors
    for event in events:
        event.pop("source_event_id")
    assert 5 == len(events) == len(jobs)
    assert [events[0]] * 5 == events
    assert [jobs[0]] * 5 == jobs


@pytest.mark.proves("E3")
async def test_http_and_sql_meet_at_one_key_and_roll_backs_leave_no_trace(
    db: Database, conn: Conn, dsn: str
) -> None:
    tenant = await seed.tenant(conn)
    start = asyncio.Event()

    async def sql(n: int) -> str | None:
        async with await AsyncConnection.connect(dsn) as own:
            await start.wait()
            cur = await own.execute(PUBLISH, [tenant.project])
            [id_] = await cur.fetchone() or ()
            await (own.rollback() if n % 2 else own.commit())
        return None if n % 2 else str(id_)

    async def http(client: httpx.AsyncClient) -> str:
        await start.wait()
        reply = await client.post("/v1/events", json={"eventType": "a", "idempotencyKey": "k"})
        while reply.status_code == 409:  # held longer than a lock is waited for; it is told to come back
            reply = await client.post("/v1/events", json={"eventType": "a", "idempotencyKey": "k"})
        assert 201 == reply.status_code, reply.text
        return str(reply.json()["event"]["id"])

    async with serving(db, tenant.key) as served:
        asked = [sql(n) if n % 2 else http(served.http) for n in range(30)]
        asked += [sql(2 * n) for n in range(10)]
        running = asyncio.gather(*asked)
        await asyncio.sleep(0)
        start.set()
        answers = set(await running) - {None}

    assert 1 == len(answers)
    assert 1 == (await seed.counts(conn))["events"]


REFUSALS: list[tuple[str, dict[str, str], Any, int]] = [
    ("", {}, {"eventType": "a", "payload": {"x": "\x00"}}, 400),
    ("", {}, {"eventType": "a", "projectId": "00000000-0000-7000-8000-000000000000"}, 403),
    ("", {}, {"eventType": "a", "serverSessionId": "00000000-0000-7000-8000-000000000000"}, 403),
    ("", {}, {"eventType": "a", "idempotencyKey": "taken"}, 409),
    ("", {"outboxd-hops": "9"}, {"eventType": "a"}, 400),
    ("", {"content-type": "text/plain"}, {"eventType": "a"}, 415),
    ("", {"content-type": "application/cloudevents+json"}, {"specversion": "1.0"}, 400),
    ("/batch", {}, [{"eventType": "a"}, {"eventType": "a", "idempotencyKey": "taken"}], 409),
    ("/batch", {"prefer": "handling=lenient"}, [{"eventType": "a", "idempotencyKey": "taken"}], 400),
]


@pytest.mark.proves("I1")
async def test_a_refused_request_leaves_nothing_in_any_table(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "*", "q", handler="h")
    async with serving(db, tenant.key) as served:
        taken = {"eventType": "taken", "idempotencyKey": "taken"}
        assert 201 == (await served.http.post("/v1/events", json=taken)).status_code
        before = await written(conn)
        for n, (path, headers, body, status) in enumerate(REFUSALS):
            given = {"content-type": "application/json", **headers, "idempotency-key": f"k{n}"}
            reply = await served.http.request("POST", f"/v1/events{path}", headers=given, json=body)
            assert status == reply.status_code, (n, reply.text)
            assert problem(reply)["error"]

    assert before == await written(conn)


async def written(conn: Conn) -> dict[str, int]:
    counts = ", ".join(f"(select count(*) from outbox.{table}) as {table}" for table in WRITTEN)
    row = await (await conn.execute(f"select {counts}".encode())).fetchone()
    assert row is not None
    return row


@pytest.mark.proves("I1")
async def test_a_commit_that_fails_is_503_and_leaves_nothing(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await conn.execute(
        """
        create function outbox_test.full() returns trigger language plpgsql as $$
        begin raise exception 'no space' using errcode = '53100'; end $$;
        create constraint trigger disk after insert on outbox.events deferrable initially deferred
        for each row execute function outbox_test.full()
        """
    )
    async with serving(db, tenant.key) as served:
        event = {"eventType": "a", "idempotencyKey": "k"}
        failed = await served.http.post("/v1/events", json=event, headers={"idempotency-key": "h"})
        nothing = await written(conn)
        await conn.execute("drop trigger disk on outbox.events")
        again = await served.http.post("/v1/events", json=event, headers={"idempotency-key": "h"})

    assert (503, "DatabaseUnavailable") == (failed.status_code, problem(failed)["error"])
    assert 1 <= int(failed.headers["retry-after"]) <= 5
    assert {0} == set(nothing.values())
    assert (201, False) == (again.status_code, "idempotency-replayed" in again.headers)


async def test_each_idempotency_key_is_one_event_through_roll_backs_and_other_bodies(
    db: Database, conn: Conn
) -> None:
    tenant = await seed.tenant(conn)
    await conn.execute(
        """
        create function outbox_test.dice() returns trigger language plpgsql as $$
        begin if random() < 0.2 then raise exception 'dice'; end if; return new; end $$;
        create trigger dice before insert on outbox.events for each row execute function outbox_test.dice()
        """
    )
    # A pretty traceback of each failure takes seconds, in which nothing else happens.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    told: dict[str, set[str]] = {}
    statuses: set[int] = set()

    async def ask(served: Served, key: str, body: Any) -> httpx.Response:
        reply = await served.http.post("/v1/events", json=body, headers={"idempotency-key": key})
        statuses.add(reply.status_code)
        return reply

    async def client(served: Served, seeded: random.Random) -> None:
        keys = [f"k{n}" for n in range(25)]
        for key in seeded.sample(keys, len(keys)):
            body = {"eventType": "a", "payload": 1 if seeded.random() < 0.8 else 2}
            reply = await ask(served, key, body)
            while reply.status_code not in {201, 422}:
                reply = await ask(served, key, body)
            if reply.status_code == 201:
                told.setdefault(key, set()).add(reply.json()["event"]["id"])

    async with serving(db, tenant.key) as one, serving(db, tenant.key) as other:
        await asyncio.gather(*(client((one, other)[n % 2], random.Random(n)) for n in range(8)))

    assert {1} == {len(ids) for ids in told.values()}
    assert (25, 25) == (len(told), (await seed.counts(conn))["events"])
    assert {201, 422} <= statuses <= {201, 409, 422, 500}


@pytest.mark.parametrize("size", [1, 256 * 1024, 256 * 1024 + 1, 5 * MIB])
async def test_payloads_of_any_size_are_stored_and_read_back_whole(
    size: int, db: Database, conn: Conn
) -> None:
    tenant = await seed.tenant(conn)
    data = random.Random(size).randbytes(size // 2 + 1).hex()[:size]
    headers = {**CE, "ce-id": "1", "content-type": "text/plain"}
    async with serving(db, tenant.key) as served:
        ours = {"eventType": "a", "payload": data[: size - 200] if size > 200 else data}
        sent = [
            await served.http.post("/v1/events", headers=headers, content=data.encode()),
            await served.http.post("/v1/events", json=ours),
        ]
        read = [
            (await served.http.get(f"/v1/events/{reply.json()['event']['id']}")).json()["event"]
            for reply in sent
        ]

    assert [201, 201] == [reply.status_code for reply in sent]
    assert [data, ours["payload"]] == [event["payload"] for event in read]
    assert not any("dataref" in event for event in read)
