"""Group commit: what is answered is stored, what is refused is not, and nobody waits for a neighbour."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import Raw
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from outboxd.errors import Broken, Conflict, DatabaseUnavailable, Overloaded, ShuttingDown
from outboxd.loops.ingest import Ingest
from outboxd.loops.wakes import Wakes
from outboxd.store.ingest import Incoming, Outcome
from tests import seed
from tests.clock import Clock
from tests.proxy import Proxy
from tests.waiting import until

Conn = AsyncConnection[DictRow]

# The commit of an event of this type takes a while.
_SLOW_COMMIT = """
create function outbox_test.slow() returns trigger language plpgsql as $$
begin
  if new.type = 'slow' then perform pg_sleep(0.3); end if;
  return null;
end $$;
create constraint trigger slow after insert on outbox.events deferrable initially deferred
for each row execute function outbox_test.slow()
"""


@asynccontextmanager
async def running(db: Database, **bounds: Any) -> AsyncIterator[Ingest]:
    ingest, stop = Ingest(db, Wakes(), **bounds), asyncio.Event()
    task = asyncio.create_task(ingest.run(stop))
    try:
        yield ingest
    finally:
        stop.set()
        await task


def event(ingest: Ingest, tenant: seed.Tenant, **given: Any) -> Incoming:
    fields = {
        "team_id": tenant.team,
        "project_id": tenant.project,
        "key_id": tenant.key_id,
        "type": "order.paid",
        "payload": Raw(b'{"n":1}'),
    }
    return Incoming(id=ingest.mint(), adapter="api", **{**fields, **given})


@pytest.mark.proves("I1")
async def test_what_is_answered_is_committed(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "order.*", "q", handler="h")
    async with running(db) as ingest:
        [outcome] = await ingest.publish([event(ingest, tenant)])

        assert outcome.status == 201
        assert {"events": 1, "event_keys": 0, "jobs": 1, "ready": 1, "later": 0, "pending": 1} == (
            await seed.counts(conn)
        )
        assert [("q", "h", True)] == [(job.queue, job.handler, job.due) for job in outcome.jobs]


def outcomes(found: Sequence[list[Outcome] | BaseException]) -> list[int]:
    return [each[0].status if isinstance(each, list) else 0 for each in found]


@pytest.mark.proves("I5")
async def test_a_poisoned_event_fails_alone(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await conn.execute(
        """
        create function outbox_test.poison() returns trigger language plpgsql as $$
        begin
          if new.type = 'poison' then raise exception 'no %', new.payload; end if;
          return new;
        end $$
        """
    )
    await conn.execute(
        """
        create trigger poison before insert on outbox.events
        for each row execute function outbox_test.poison()
        """
    )
    async with running(db) as ingest:
        units = [event(ingest, tenant, type="poison" if n == 321 else "fine") for n in range(500)]
        found = await asyncio.gather(*(ingest.publish([unit]) for unit in units), return_exceptions=True)

    assert 499 == outcomes(found).count(201)
    assert [321] == [n for n, each in enumerate(found) if isinstance(each, BaseException)]
    assert isinstance(found[321], Broken)
    assert "no" not in found[321].detail.split()
    assert 499 == (await seed.counts(conn))["events"]


@pytest.mark.parametrize("how", ["cut_answers", "reset"])
@pytest.mark.proves("I2", "G2")
async def test_a_lost_commit_is_answered_and_not_doubled(how: str, dsn: str, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await conn.execute(_SLOW_COMMIT)
    async with (
        Proxy.before(dsn) as (proxy, through),
        Database.open(through, pool_min=1) as db,
        running(db) as ingest,
    ):
        publishing = asyncio.create_task(ingest.publish([event(ingest, tenant, type="slow")]))
        await committing(conn)
        getattr(proxy, how)()
        [outcome] = await publishing

    assert (201, False) == (outcome.status, outcome.duplicate)
    stored = await seed.counts(conn)
    assert (1, 1) == (stored["events"], stored["pending"])


@pytest.mark.proves("I1")
async def test_when_nobody_knows_that_is_said(dsn: str, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await conn.execute(_SLOW_COMMIT)
    async with (
        Proxy.before(dsn) as (proxy, through),
        Database.open(through, pool_min=1) as db,
        running(db) as ingest,
    ):
        publishing = asyncio.create_task(ingest.publish([event(ingest, tenant, type="slow")]))
        await committing(conn)
        proxy.refuse()
        proxy.reset()
        with pytest.raises(DatabaseUnavailable) as told:
            await publishing

    assert "unknown" == told.value.members["outcome"]


async def committing(conn: Conn) -> None:
    """Somebody's COMMIT is under way."""
    query = "select 1 from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"

    async def sleeping() -> bool:
        return bool(await (await conn.execute(query)).fetchone())

    await until(sleeping)


async def test_a_refused_unit_leaves_nothing_and_its_twin_is_stored(db: Database, conn: Conn) -> None:
    tenant, other = await seed.tenant(conn), await seed.tenant(conn, "other")
    async with running(db) as ingest:
        key = {"event_key": "key:v1:k", "strict": True}
        bad = [event(ingest, tenant, **key), event(ingest, other, key_id=tenant.key_id)]
        good = [event(ingest, tenant, **key)]
        found = await asyncio.gather(ingest.publish(bad), ingest.publish(good))

    assert [403, 403] == [each.status for each in found[0]]
    assert [(201, False)] == [(each.status, each.duplicate) for each in found[1]]
    assert {"events": 1, "event_keys": 1} == {
        name: count for name, count in (await seed.counts(conn)).items() if name in {"events", "event_keys"}
    }


@pytest.mark.proves("I8", "G3")
async def test_a_full_queue_says_so_and_what_was_accepted_is_stored(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with running(db, queue_events=20) as ingest:
        async with held(conn, tenant):
            first = asyncio.create_task(ingest.publish([event(ingest, tenant, event_key="key:v1:held")]))
            await stuck(conn)
            flood = [asyncio.create_task(ingest.publish([event(ingest, tenant)])) for _ in range(50)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert ingest.full
            with pytest.raises(Overloaded):
                ingest.admit(1)
        found = await asyncio.gather(*flood, return_exceptions=True)
        await asyncio.gather(first, return_exceptions=True)

    refused = [each for each in found if isinstance(each, Overloaded)]
    assert (20, 30) == (outcomes(found).count(201), len(refused))
    assert all(each.retry_in for each in refused)
    stored = await (
        await conn.execute("select count(*) as n from outbox.events where type = 'order.paid'")
    ).fetchone()
    assert stored
    assert 20 <= stored["n"] <= 21


@pytest.mark.proves("E10")
async def test_a_lock_on_a_key_fails_that_key_alone(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with running(db) as ingest, held(conn, tenant):
        keyed, *free = await asyncio.gather(
            ingest.publish([event(ingest, tenant, event_key="key:v1:held")]),
            *(ingest.publish([event(ingest, tenant)]) for _ in range(7)),
            return_exceptions=True,
        )

    assert isinstance(keyed, Conflict)
    assert keyed.retry_in
    assert [201] * 7 == outcomes(free)


async def test_a_unit_that_waits_too_long_is_told_and_not_stored(
    db: Database, conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxd.loops.ingest._LONGEST_WAIT", 0.05)
    tenant = await seed.tenant(conn)
    async with running(db) as ingest, held(conn, tenant):
        first = asyncio.create_task(ingest.publish([event(ingest, tenant, event_key="key:v1:held")]))
        await stuck(conn)
        with pytest.raises(Overloaded, match="nothing was stored"):
            await ingest.publish([event(ingest, tenant)])
        await asyncio.gather(first, return_exceptions=True)

    assert 0 == (await seed.counts(conn))["events"]


@pytest.mark.proves("E7")
async def test_draining_commits_what_is_queued_and_takes_no_more(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    ingest, stop = Ingest(db, Wakes()), asyncio.Event()
    task = asyncio.create_task(ingest.run(stop))
    await asyncio.sleep(0.05)
    queued = [asyncio.create_task(ingest.publish([event(ingest, tenant)])) for _ in range(5)]
    await asyncio.sleep(0)
    stop.set()
    found = await asyncio.gather(*queued)
    await task
    with pytest.raises(ShuttingDown):
        await ingest.publish([event(ingest, tenant)])

    assert [201] * 5 == outcomes(list(found))
    assert 5 == (await seed.counts(conn))["events"]


async def test_a_requester_who_leaves_is_committed_all_the_same(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with running(db) as ingest:
        gone = asyncio.create_task(ingest.publish([event(ingest, tenant)]))
        stays = asyncio.create_task(ingest.publish([event(ingest, tenant)]))
        await asyncio.sleep(0)
        gone.cancel()
        await stays

    assert 2 == (await seed.counts(conn))["events"]


async def test_a_missing_partition_is_503_and_made(dsn: str, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    for table in ("events", "jobs", "feed", "attempts", "audit_log"):
        await conn.execute(f"drop table outbox.{table}_all".encode())
    async with Database.open(dsn) as db, running(db) as ingest:
        with pytest.raises(DatabaseUnavailable):
            await ingest.publish([event(ingest, tenant)])
        [outcome] = await ingest.publish([event(ingest, tenant)])

    assert 201 == outcome.status


async def test_groups_are_bounded_and_a_large_unit_goes_alone(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    ingest = Ingest(db, Wakes())
    sizes = [300, 200, 1, 600, 1]
    for size in sizes:
        asyncio.get_running_loop().create_task(ingest.publish([event(ingest, tenant)] * size))
    await asyncio.sleep(0)
    groups = []
    while group := ingest._take():
        groups.append([len(unit.events) for unit in group])
        for unit in group:
            unit.answer.set_result([])

    assert [[300, 200], [1], [600], [1]] == groups


async def test_ids_follow_the_databases_clock_and_sort_as_they_were_made(
    db: Database, conn: Conn, clock: Clock
) -> None:
    clock.set(datetime(2031, 5, 6, tzinfo=UTC))
    async with running(db) as ingest:
        await until(lambda: ingest.mint.now() > datetime(2031, 1, 1, tzinfo=UTC).timestamp())
        ids = [ingest.mint() for _ in range(10_000)]

    assert sorted(set(ids)) == ids
    made = await (await conn.execute("select outbox.uuid7_time(%s) as at", [ids[0]])).fetchone()
    assert made
    assert timedelta(0) <= made["at"] - clock.now < timedelta(seconds=5)


async def test_two_groups_with_crossed_keys_do_not_wait_for_each_other(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with running(db) as one, running(db) as other:
        for n in range(20):
            a, b = {"event_key": f"key:v1:a{n}"}, {"event_key": f"key:v1:b{n}"}
            found = await asyncio.gather(
                one.publish([event(one, tenant, **a), event(one, tenant, **b)]),
                other.publish([event(other, tenant, **b), event(other, tenant, **a)]),
            )
            assert {201} == {each.status for unit in found for each in unit}

    assert 40 == (await seed.counts(conn))["events"]


@asynccontextmanager
async def held(conn: Conn, tenant: seed.Tenant) -> AsyncIterator[None]:
    """Somebody else's open transaction has the event key `held`."""
    await conn.execute("begin")
    await conn.execute(
        """
        insert into outbox.event_keys
        values (%s, 'key:v1:held', gen_random_uuid(), '\\x00', now() + interval '1 day')
        """,
        [tenant.project],
    )
    try:
        yield
    finally:
        await conn.execute("rollback")


async def stuck(conn: Conn) -> None:
    """A group waits for the key that somebody holds."""
    query = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"

    async def waiting() -> bool:
        return bool(await (await conn.execute(query)).fetchone())

    await until(waiting)
