"""A function of the database is a handler: what it writes and its job's end are one."""

from datetime import timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection

from outboxd.db.pool import Database
from outboxd.errors import Invalid
from outboxd.handlers import sql
from outboxd.loops import worker
from tests.loops.crew import Crew

NAME = "sql:shop.on_order"


@pytest.fixture
async def crew(dsn: str, db: Database, conn: AsyncConnection[dict[str, Any]]) -> Crew:
    await conn.execute("create schema shop")
    await conn.execute("create table shop.effects (job uuid, note text)")
    return await Crew.made(dsn, db, conn)


async def declare(crew: Crew, body: str) -> None:
    await crew.conn.execute(
        "create function shop.on_order(p_job outbox.claimed) returns jsonb language plpgsql"
        f" as $$ declare v int; begin {body} end $$".encode()
    )


async def ended(crew: Crew, body: str, **options: Any) -> dict[str, Any]:
    await declare(crew, body)
    job = await crew.enqueue(NAME, payload={"order": 7}, **options)
    async with crew.at_work(sql.handlers([NAME])):
        return await crew.attempt(job) | {"job": job}


async def written(crew: Crew) -> int:
    return len(await crew.rows("select from shop.effects"))


async def test_it_gets_the_job_and_its_result_is_the_output(crew: Crew) -> None:
    attempt = await ended(
        crew,
        "insert into shop.effects values (p_job.job_id, p_job.payload ->> 'order');"
        " return jsonb_build_object('queue', p_job.queue, 'attempt', p_job.attempt,"
        " 'timeout', extract(epoch from p_job.timeout), 'team', p_job.team_id);",
    )

    assert "completed" == attempt["outcome"]
    assert {"queue": "sql-shop.on_order", "attempt": 1, "timeout": 300.0, "team": str(crew.team)} == (
        attempt["output"] | {"timeout": float(attempt["output"]["timeout"])}
    )
    assert [{"job": attempt["job"], "note": "7"}] == await crew.rows("select * from shop.effects")


async def test_a_large_payload_comes_whole(crew: Crew) -> None:
    await declare(crew, "return to_jsonb(length(p_job.payload ->> 'text'));")
    job = await crew.enqueue(NAME, payload={"text": "x" * 200_000})
    async with crew.at_work(sql.handlers([NAME])):
        attempt = await crew.attempt(job)

    assert 200_000 == attempt["output"]


@pytest.mark.parametrize(
    ("raised", "found", "place"),
    [
        ("raise 'no such order' using errcode = 'OX404'", ("NotFound", 404, "no such order"), "dead_letters"),
        ("raise 'x' using errcode = 'OX503'", ("Overloaded", 503, "x"), "later"),
        ("v := 1/0", ("22012", None, "the database said 22012"), "later"),
        ("raise 's3cr3t'", ("P0001", None, "the database said P0001"), "later"),
    ],
)
async def test_what_it_raises_decides_and_rolls_its_writes_back(
    crew: Crew, raised: str, found: tuple[Any, ...], place: str
) -> None:
    attempt = await ended(
        crew, f"insert into shop.effects values (p_job.job_id, 'lost'); {raised}; return null;"
    )

    assert found == (attempt["class"], attempt["status"], attempt["error"])
    assert ([place], 0) == (await crew.where(attempt["job"]), await written(crew))


async def test_it_may_say_when_to_come_back(crew: Crew) -> None:
    attempt = await ended(crew, "raise 'later' using errcode = 'OX503', detail = 'retry_in=30s';")

    assert timedelta(seconds=30) == attempt["retry_at"] - attempt["at"]


@pytest.mark.parametrize("state", ["40001", "40P01"])
async def test_a_lost_race_is_run_again_at_once_three_times_and_then_fails(crew: Crew, state: str) -> None:
    await crew.conn.execute("create sequence shop.calls")
    attempt = await ended(
        crew, f"perform nextval('shop.calls'); raise 'lost' using errcode = '{state}'; return null;"
    )

    assert ("failed", state) == (attempt["outcome"], attempt["class"])
    assert 4 == await crew.value("select last_value from shop.calls")


async def test_it_is_stopped_when_its_time_is_up(crew: Crew) -> None:
    attempt = await ended(crew, "perform pg_sleep(30); return null;", timeoutMs=1000)

    assert ("failed", "TimeoutError") == (attempt["outcome"], attempt["class"])
    assert attempt["ms"] < 2000


@pytest.mark.parametrize(
    "name",
    ["sql:outbox.publish", "sql:pg_catalog.now", "sql:PG_temp.x", "sql:information_schema.x", "sql:x",
     "sql:a.b.c", "sql:a.b; drop", "sql:a.b\n", "a.b", "sql:."],
)  # fmt: skip
def test_names_that_must_not_be_handlers(name: str) -> None:
    with pytest.raises(Invalid):
        sql.handler(name)


async def test_a_handler_declared_while_the_worker_runs_is_offered(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_LEARN_EVERY", 0.1)
    await declare(crew, "return to_jsonb(7);")
    job = await crew.enqueue(NAME)
    async with crew.at_work([], declared=sql.declared):
        before = await crew.where(job)
        await crew.conn.execute("insert into outbox.handlers values (%s, false, 'operator', now())", [NAME])
        attempt = await crew.attempt(job)

    assert (["ready"], "completed", 7) == (before, attempt["outcome"], attempt["output"])


async def test_queues_that_an_app_wants_are_made_and_others_left_alone(crew: Crew) -> None:
    await crew.conn.execute("select outbox.open_queue('taken', 'somebody')")
    async with crew.at_work([], queues={"thumbs": "resize", "taken": "resize"}):
        pass

    found = await crew.rows("select name, handler from outbox.queues where name in ('thumbs', 'taken')")
    assert {("thumbs", "resize"), ("taken", "somebody")} == {(row["name"], row["handler"]) for row in found}
