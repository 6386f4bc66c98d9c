"""Firing: what is due becomes one event a tick, whoever fires it, and what was missed follows its policy."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from outboxd.errors import Error
from outboxd.loops.chores import chores
from outboxd.loops.scheduler import Scheduler
from outboxd.loops.sweeper import Sweeper
from outboxd.loops.wakes import Wakes
from outboxd.store import keys, queues
from tests import lasting, seed
from tests.api.served import configured
from tests.clock import Clock
from tests.proofs import proves
from tests.schedules.oracle import utc
from tests.schedules.rows import HOUR, MINUTE, SECOND, changed, events, made, ms, row, trail

Conn = AsyncConnection[DictRow]
NOON = utc("2026-11-21T12:00")

pytestmark = pytest.mark.asyncio(loop_scope="module")
conn, db, dsn, emptied = lasting.conn, lasting.db, lasting.dsn, lasting.emptied


@pytest_asyncio.fixture(loop_scope="module")
async def tenant(conn: Conn, clock: Clock) -> seed.Tenant:
    clock.set(NOON - 2 * HOUR)
    return await seed.tenant(conn)


@pytest.fixture
def scheduler(db: Database) -> Scheduler:
    return Scheduler(db, Wakes())


async def test_a_tick_is_one_event_with_its_jobs_at_its_time(
    db: Database, conn: Conn, clock: Clock, tenant: seed.Tenant
) -> None:
    await seed.route(conn, "tick.*", "work", handler="pull:work")
    made_at = clock.now
    schedule = await made(db, tenant, subject="s/1", ordering_key="k")
    wakes = Wakes()
    scheduler = Scheduler(db, wakes)
    clock.set(made_at + timedelta(seconds=9.999))
    assert 0 == await scheduler.once()
    assert [] == await events(conn)
    clock.set(made_at + timedelta(seconds=10.2))
    assert 1 == await scheduler.once()
    assert 0 == await scheduler.once()

    [event] = await events(conn)
    tick = made_at + 10 * SECOND
    assert ("schedule", "tick.tock", "s/1", "k", tenant.key_id, tick) == tuple(
        event[name] for name in ("adapter", "type", "subject", "ordering_key", "key_id", "occurred_at")
    )
    told = {"id": str(schedule), "name": "s", "tickEpoch": ms(tick), "missed": 0}
    assert {"schedule": told} == event["metadata"]
    after = await row(conn, schedule)
    assert (tick, tick + 10 * SECOND) == (after["last_tick"], after["next_at"])
    assert {"work"} == wakes.queues.take()
    assert {str(tenant.project)} == wakes.sequencer.take()


# Every minute of the hour from 11; it is 12:10 when somebody looks again.
MINUTES = "* 11 * * *"


@proves("S3")
@pytest.mark.parametrize(
    ("fields", "fired", "counted"),
    [
        ({"missed": "once"}, 1, 60),
        ({"missed": "skip"}, 0, 0),
        ({"missed": "all"}, 60, 0),
        ({"missed": "all", "missed_cap": 10}, 10, 50),
    ],
    ids=lambda each: "-".join(map(str, each.values())) if isinstance(each, dict) else None,
)
async def test_ticks_missed_in_an_hour_follow_the_policy_and_its_cap(
    db: Database, conn: Conn, clock: Clock, tenant: seed.Tenant, scheduler: Scheduler,
    fields: dict[str, Any], fired: int, counted: int,
) -> None:  # fmt: skip
    schedule = await made(db, tenant, MINUTES, **fields)
    clock.set(NOON + 10 * MINUTE)
    assert 1 == await scheduler.once()
    found = await events(conn)
    assert (fired, counted) == (len(found), sum(each["missed"] for each in found))
    newest = [ms(NOON - n * MINUTE) for n in range(fired, 0, -1)]
    assert newest == [each["tick"] for each in found]
    assert NOON + 23 * HOUR == (await row(conn, schedule))["next_at"]
    assert 0 == await scheduler.once()


@proves("S3")
@pytest.mark.parametrize(
    ("missed", "wanted"),
    [("once", [(0, 3)]), ("skip", [(0, 0)]), ("all", [(3, 0), (2, 0), (1, 0), (0, 0)])],
)
async def test_a_tick_that_is_not_late_fires_whatever_was_missed_before_it(
    db: Database, conn: Conn, clock: Clock, tenant: seed.Tenant, scheduler: Scheduler,
    missed: str, wanted: list[tuple[int, int]],
) -> None:  # fmt: skip
    """Minutes before noon, and how many that were missed each stands for."""
    clock.set(NOON - 4 * MINUTE)
    await made(db, tenant, "* * * * *", missed=missed)
    clock.set(NOON + 20 * SECOND)
    assert 1 == await scheduler.once()
    assert [(ms(NOON - n * MINUTE), m) for n, m in wanted] == [
        (each["tick"], each["missed"]) for each in await events(conn)
    ]


@proves("S3")
async def test_sixty_seconds_late_is_not_missed_and_more_is(
    db: Database, conn: Conn, clock: Clock, tenant: seed.Tenant, scheduler: Scheduler
) -> None:
    await made(db, tenant, "0 11 * * *", name="a", missed="skip")
    await made(db, tenant, "59 10 * * *", name="b", missed="skip")
    clock.set(NOON - HOUR + 60 * SECOND)
    assert 2 == await scheduler.once()
    assert [ms(NOON - HOUR)] == [each["tick"] for each in await events(conn)]


async def test_a_year_of_seconds_is_caught_up_with_at_once(
    db: Database, conn: Conn, clock: Clock, tenant: seed.Tenant, scheduler: Scheduler
) -> None:
    schedule = await made(db, tenant, "* * * * *", missed="all", missed_cap=3)
    clock.set(NOON + timedelta(days=365, seconds=5))
    assert 1 == await scheduler.once()
    found = await events(conn)
    ticks = [clock.now.replace(second=0) - n * MINUTE for n in (3, 2, 1, 0)]
    assert [ms(tick) for tick in ticks] == [each["tick"] for each in found]
    # Counting ends at 10,000.
    assert [10_000 - 4, 0, 0, 0] == [each["missed"] for each in found]
    assert ticks[-1] + MINUTE == (await row(conn, schedule))["next_at"]


@proves("S3")
async def test_what_passed_while_it_was_disabled_or_before_an_edit_was_not_missed(
    db: Database, conn: Conn, clock: Clock, tenant: seed.Tenant, scheduler: Scheduler
) -> None:
    resumed = await made(db, tenant, "* * * * *", name="resumed", missed="all")
    edited = await made(db, tenant, "* * * * *", name="edited", missed="all")
    await changed(db, tenant, resumed, enabled=False)
    clock.forward(HOUR)
    assert (await row(conn, edited))["next_at"] < clock.now
    await changed(db, tenant, resumed, enabled=True)
    await changed(db, tenant, edited, subject="other")
    assert 0 == await scheduler.once()
    for each in (resumed, edited):
        assert clock.now + MINUTE == (await row(conn, each))["next_at"]


async def test_a_tick_that_is_due_survives_an_edit_that_is_not_about_time(
    db: Database, conn: Conn, clock: Clock, tenant: seed.Tenant, scheduler: Scheduler
) -> None:
    schedule = await made(db, tenant, "* * * * *")
    clock.forward(MINUTE + SECOND)
    await changed(db, tenant, schedule, subject="other")
    assert 1 == await scheduler.once()
    assert ["other"] == [each["subject"] for each in await events(conn)]


async def test_between_its_first_and_its_last_day_and_then_it_is_over(
    db: Database, conn: Conn, clock: Clock, tenant: seed.Tenant, scheduler: Scheduler
) -> None:
    span = {"starts_at_epoch": ms(NOON), "ends_at_epoch": ms(NOON + 2 * HOUR)}
    schedule = await made(db, tenant, "@hourly", missed="all", **span)
    for _ in range(5):
        clock.forward(HOUR)
        await scheduler.once()
    assert [ms(NOON), ms(NOON + HOUR)] == [each["tick"] for each in await events(conn)]
    over = await row(conn, schedule)
    assert ("ended", None) == (over["state"], over["next_at"])
    await changed(db, tenant, schedule, ends_at_epoch=None)
    after = await row(conn, schedule)
    assert ("active", clock.now + HOUR) == (after["state"], after["next_at"])


@proves("S7", "T3")
@pytest.mark.parametrize("fault", ["revoked_key", "expired_key", "archived"])
async def test_whose_key_is_gone_publishes_nothing_more(
    db: Database, conn: Conn, clock: Clock, tenant: seed.Tenant, scheduler: Scheduler, fault: str
) -> None:
    schedule = await made(db, tenant)
    clock.forward(10 * SECOND)
    assert 1 == await scheduler.once()
    await conn.execute(
        {
            "revoked_key": b"update outbox.keys set revoked_at = outbox.clock() where id = %(key)s",
            "expired_key": b"update outbox.keys set expires_at = outbox.clock() where id = %(key)s",
            "archived": b"update outbox.projects set archived_at = outbox.clock() where id = %(project)s",
        }[fault],
        {"key": tenant.key_id, "project": tenant.project},
    )
    clock.forward(10 * SECOND)
    await scheduler.once()
    clock.forward(MINUTE)
    assert 0 == await scheduler.once()
    assert 1 == len(await events(conn))
    after = await row(conn, schedule)
    assert ("suspended", fault) == (after["state"], after["reason"])
    assert ["schedule.added", "schedule.suspended"] == await trail(conn)
    late = await (
        await conn.execute("select name, state, reason, late from outbox.late_schedules")
    ).fetchall()
    assert [{"name": "s", "state": "suspended", "reason": fault, "late": MINUTE}] == late


@proves("S7")
async def test_another_key_takes_a_suspended_one_over_by_enabling_it(
    db: Database, conn: Conn, clock: Clock, tenant: seed.Tenant, scheduler: Scheduler
) -> None:
    schedule = await made(db, tenant)
    await keys.revoke(conn, seed.OPERATOR, tenant.key_id)
    clock.forward(MINUTE)
    await scheduler.once()
    other, secret = await seed.key(conn, tenant.team, "endpoints:write", project=tenant.project)
    heir = seed.Tenant(team=tenant.team, project=tenant.project, key=secret, key_id=other)
    await changed(db, heir, schedule, subject="x")
    assert "suspended" == (await row(conn, schedule))["state"]
    await changed(db, heir, schedule, enabled=True)
    clock.forward(10 * SECOND)
    assert 1 == await scheduler.once()
    [event] = await events(conn)
    # It may set up schedules, and write no events of its own: nothing is generated in its name.
    assert (0, None) == (event["missed"], event["key_id"])


async def test_one_that_cannot_be_fired_stands_in_nobodys_way_and_is_told(
    db: Database, conn: Conn, clock: Clock, tenant: seed.Tenant, scheduler: Scheduler
) -> None:
    """R7: more of them than one run takes, all due before the others."""
    await conn.execute("create function public.no() returns trigger language plpgsql as 'begin raise; end'")
    await conn.execute(
        "create trigger no before update on outbox.schedules for each row"
        " when (new.name like 'bad %') execute function public.no()"
    )
    bad = await made(db, tenant, name="bad 0")
    await conn.execute(
        """
        insert into outbox.schedules (id, team_id, project_id, name, cron, type, key_id, next_at, created_at,
          updated_at)
        select gen_random_uuid(), team_id, project_id, 'bad ' || g, cron, type, key_id, next_at, created_at,
          updated_at
        from outbox.schedules, generate_series(1, 54) g where id = %s
        """,
        [bad],
    )
    clock.forward(SECOND)
    await made(db, tenant, name="good")
    clock.forward(20 * SECOND)
    for _ in range(3):
        with pytest.raises(Error):
            await scheduler.once()
    await conn.execute("drop function public.no() cascade")
    assert {"good"} == {each["metadata"]["schedule"]["name"] for each in await events(conn)}
    late = await (await conn.execute("select state from outbox.late_schedules")).fetchall()
    assert ["active"] * 55 == [each["state"] for each in late]


async def test_a_rule_that_is_none_any_more_is_suspended(
    db: Database, conn: Conn, clock: Clock, tenant: seed.Tenant, scheduler: Scheduler
) -> None:
    schedule = await made(db, tenant)
    await conn.execute("update outbox.schedules set timezone = 'Mars/Base'")
    clock.forward(10 * SECOND)
    assert 1 == await scheduler.once()
    assert 0 == await scheduler.once()
    assert "bad_timezone" == (await row(conn, schedule))["reason"]


@proves("S1")
async def test_three_schedulers_make_one_event_a_tick(
    dsn: str, db: Database, conn: Conn, clock: Clock, tenant: seed.Tenant
) -> None:
    for n in range(20):
        await made(db, tenant, name=f"s{n}")
    async with Database.open(dsn) as second, Database.open(dsn) as third:
        crew = [Scheduler(each, Wakes()) for each in (db, second, third)]
        for _ in range(5):
            clock.forward(10 * SECOND)
            await asyncio.gather(*(each.once() for each in crew))
    found = await events(conn)
    assert (100, 100) == (
        len(found),
        len({(each["metadata"]["schedule"]["id"], each["tick"]) for each in found}),
    )


async def test_the_poll_knows_the_next_tick_and_asks_for_no_other_statement(
    db: Database, conn: Conn, dsn: str, clock: Clock, tenant: seed.Tenant
) -> None:
    async with db.connection() as pooled:
        look = await queues.poll(pooled, None, tenant.project, asleep=False)
        assert None is look.next_tick
    await made(db, tenant, name="later", cron="every 1h")
    schedule = await made(db, tenant, name="sooner")
    async with db.connection() as pooled:
        look = await queues.poll(pooled, None, tenant.project, asleep=False)
        assert clock.now + 10 * SECOND == look.next_tick
    await changed(db, tenant, schedule, enabled=False)
    async with db.connection() as pooled:
        look = await queues.poll(pooled, None, tenant.project, asleep=False)
        assert clock.now + HOUR == look.next_tick


async def test_the_chore_is_one_of_every_process(
    db: Database, conn: Conn, dsn: str, clock: Clock, tenant: seed.Tenant
) -> None:
    await made(db, tenant)
    clock.forward(10 * SECOND)
    sweeper = Sweeper(db, chores(db, Wakes(), configured(), dsn))
    assert 1 == await sweeper.once("tick")
    assert 1 == len(await events(conn))


async def test_the_due_query_reads_one_row_of_many(conn: Conn, clock: Clock, tenant: seed.Tenant) -> None:
    """G5: two thousand schedules and as many suspended ones in front."""
    await conn.execute(
        """
        insert into outbox.schedules (id, team_id, project_id, name, cron, type, state, next_at, created_at,
          updated_at)
        select gen_random_uuid(), %s, %s, 'n' || g, '@daily', 'x',
          case when g <= 2000 then 'suspended' else 'active' end,
          outbox.clock() + (g - 2001) * interval '1 min', outbox.clock(), outbox.clock()
        from generate_series(1, 4000) g
        """,
        [tenant.team, tenant.project],
    )
    for said in ("", "analyze outbox.schedules"):
        if said:
            await conn.execute(said.encode())
        async with conn.transaction(force_rollback=True):
            before = await reads(conn)
            [due] = await (await conn.execute("select name from outbox.due_schedule()")).fetchall()
            await conn.execute("select next_tick from outbox.poll()")
            after = await reads(conn)
        assert "n2001" == due["name"]
        assert after[0] == before[0]
        assert 2 <= after[1] - before[1] <= 10


async def reads(conn: Conn) -> tuple[int, int]:
    """Whole reads of the table, and rows fetched by index, of this transaction too."""
    cur = await conn.execute(
        "select seq_scan as a, coalesce(idx_tup_fetch, 0) as b from pg_stat_xact_user_tables"
        " where relname = 'schedules'"
    )
    found = await cur.fetchone()
    return (int(found["a"]), int(found["b"])) if found else (0, 0)
