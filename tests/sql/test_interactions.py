"""The verbs of interactions: one winner, a wrong scope consumes nothing, an event with each change."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from tests.clock import Clock
from tests.conftest import CrashServer
from tests.engine import Engine as Threads
from tests.engine import Tenant
from tests.proofs import proves
from tests.sql.engine import Conn, Row
from tests.sql.questions import (
    CHAT,
    YES_OR_NO,
    answer,
    ask,
    events,
    row,
    rows,
    trail,
    use,
    withdraw,
)
from tests.waiting import until

SECOND = timedelta(seconds=1)
IDS = "select expired as id from outbox.expire_interactions({}) expired"


@pytest.fixture
async def project(conn: Conn) -> UUID:
    team, project = uuid4(), uuid4()
    await rows(
        conn,
        "insert into outbox.teams values (%s, 'acme', '{}', outbox.clock(), outbox.clock()) returning 1",
        team,
    )
    await rows(
        conn,
        "insert into outbox.projects (id, team_id, name, created_at, updated_at)"
        " values (%s, %s, 'shop', outbox.clock(), outbox.clock()) returning outbox.open_stream(id)",
        project,
        team,
    )
    return project


@asynccontextmanager
async def reached(dsn: str) -> AsyncIterator[Conn]:
    async with await AsyncConnection.connect(dsn, autocommit=True, row_factory=dict_row) as conn:
        yield conn


@pytest.fixture
async def crowd(dsn: str) -> AsyncIterator[list[Conn]]:
    """Fifty connections."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(reached(dsn)) for _ in range(50)]


async def outcomes(made: list[Any]) -> list[Any]:
    """What each says, all begun at once; a refusal is its SQLSTATE."""
    found = await asyncio.gather(*made, return_exceptions=True)
    return [each.sqlstate if isinstance(each, psycopg.Error) else each for each in found]


async def refused(statement: Any) -> str | None:
    with pytest.raises(psycopg.Error) as caught:
        await statement
    return caught.value.sqlstate


@proves("C17")
async def test_of_fifty_answers_one_wins_with_one_event(conn: Conn, crowd: list[Conn], project: UUID) -> None:
    """Interactions 1."""
    for n in range(100):
        id_ = (await ask(conn, project, id=f"q{n}", options=YES_OR_NO, actor="*"))["interaction_id"]
        # Whoever answers as ann says the same; bob says something else.
        said = [("ann", "yes") if at % 2 else ("bob", "no") for at in range(len(crowd))]
        found = await asyncio.gather(
            *(
                answer(each, id_, project, word, actor=who)
                for each, (who, word) in zip(crowd, said, strict=True)
            )
        )
        counted = Counter(each["outcome"] for each in found)
        assert {"answered": 1, "replayed": 24, "already_answered": 25} == counted
        assert 1 == len({each["answer_event_id"] for each in found})
    told = await events(conn, "interaction.answered")
    assert (100, 100) == (len(told), len({each["subject"] for each in told}))


@proves("C17")
async def test_a_mismatch_consumes_nothing(conn: Conn, project: UUID) -> None:
    """Interactions 2: four wrong, then right: wins."""
    asked = await ask(conn, project, options=YES_OR_NO)
    id_ = asked["interaction_id"]
    before = await row(conn, id_)
    wrong: list[tuple[str, UUID, dict[str, str]]] = [
        (id_ + "x", project, {}),
        (id_, uuid4(), {}),
        (id_, project, {"connection": "chat-2"}),
        (id_, project, {"actor": "eve"}),
    ]
    for id_, of, given in wrong:
        assert "none" == (await answer(conn, id_, of, "no option", **given))["outcome"]
    id_ = asked["interaction_id"]
    assert "changed" == (await answer(conn, id_, project, digest="0" * 64))["outcome"]
    assert before == await row(conn, id_)
    assert ["unknown", "project", "connection", "actor"] == [
        each["details"]["reason"] for each in await trail(conn, "interaction.denied")
    ]
    assert "answered" == (await answer(conn, id_, project, digest=asked["digest"]))["outcome"]


BREAK = """
create or replace function outbox.tell_answered(p_caller outbox.caller, p_row outbox.interactions)
returns void language plpgsql as $$ begin {} end $$
"""


@proves("C17")
async def test_a_failure_between_the_claim_and_its_event_undoes_both(conn: Conn, project: UUID) -> None:
    """Interactions 3: raise."""
    id_ = (await ask(conn, project))["interaction_id"]
    async with conn.transaction(force_rollback=True):
        await conn.execute(BREAK.format("raise 'between';").encode())
        async with conn.transaction(force_rollback=True):
            assert "P0001" == await refused(answer(conn, id_, project))
        assert "pending" == (await row(conn, id_))["state"]
    assert [] == await events(conn, "interaction.answered")
    assert "answered" == (await answer(conn, id_, project))["outcome"]
    assert 1 == len(await events(conn, "interaction.answered"))


@proves("C17")
async def test_a_crash_between_the_claim_and_its_event_undoes_both(crash_server: CrashServer) -> None:
    """Interactions 3: the server dies between the two."""
    threads = Threads(crash_server.dsn)
    project = threads.tenant().project
    threads.close()

    def connected() -> AbstractAsyncContextManager[Conn]:
        return reached(crash_server.dsn)

    async with connected() as conn, connected() as watch:
        id_ = (await ask(conn, project))["interaction_id"]
        [whole] = await rows(conn, "select pg_get_functiondef('outbox.tell_answered'::regproc) as text")
        await conn.execute(BREAK.format("perform pg_sleep(30);").encode())
        answering = asyncio.create_task(refused(answer(conn, id_, project)))

        async def asleep() -> bool:
            found = await rows(watch, "select from pg_stat_activity where wait_event = 'PgSleep'")
            return len(found) == 1

        await until(asleep)
        crash_server.restart()
        assert await answering in {None, "57P01", "57P02", "08006"}
    async with connected() as conn:
        assert "pending" == (await row(conn, id_))["state"]
        assert [] == await events(conn, "interaction.answered")
        await conn.execute(whole["text"].encode())
        assert "answered" == (await answer(conn, id_, project))["outcome"]
    crash_server.restart()
    async with connected() as conn:
        [event] = await events(conn, "interaction.answered")
        assert event["id"] == (await row(conn, id_))["answer_event_id"]


async def test_no_scope_value_can_be_null_or_absent(conn: Conn, project: UUID) -> None:
    """Interactions 9."""
    id_ = (await ask(conn, project))["interaction_id"]
    for given in ({"project": None}, {"connection": None}, {"actor": None}, {"prompt": None}, {"actor": ""}):
        said: dict[str, Any] = {"project": project, **given}
        assert "OX400" == await refused(ask(conn, **said))
    for wrong in (
        {"id_": None},
        {"project": None},
        {"connection": None},
        {"actor": None},
        {"actor": ""},
        {"said": None},
    ):
        assert "OX400" == await refused(answer(conn, **{"id_": id_, "project": project, **wrong}))
    for at in range(4):
        given_ = [id_, project, CHAT, "ann"]
        given_[at] = None
        statement = "select * from outbox.use_suggestion(%s, %s, %s, %s, 0)"
        assert "OX400" == await refused(rows(conn, statement, *given_))
        if at < 3:
            assert "OX400" == await refused(rows(conn, "select outbox.withdraw(%s, %s, %s)", *given_[:3]))
    nobody = "select outbox.withdraw(%s, %s, %s, null, null)"
    assert "OX400" == await refused(rows(conn, nobody, id_, project, CHAT))
    columns = [
        "id",
        "team_id",
        "project_id",
        "connection_id",
        "expected_actor",
        "state",
        "expires_at",
        "digest",
    ]
    [missing] = await rows(
        conn,
        "select count(*) as n from pg_attribute where attrelid = 'outbox.interactions'::regclass"
        " and attname = any(%s) and not attnotnull",
        columns,
    )
    assert 0 == missing["n"]
    assert [] == await trail(conn, "interaction.denied")


@pytest.mark.parametrize(
    "given",
    [
        {"prompt": 7},
        {"prompt": {"a": "x" * 16_384}},
        {"options": []},
        {"options": [{"value": 1}]},
        {"options": [{"value": "a"}] * 2},
        {"options": [{"value": "x" * 1025}]},
        {"options": [{"value": "a", "label": "x" * 201}]},
        {"options": ["a"]},
        {"free_text": False},
        {"context": [1]},
        {"context": {"a": "x" * 32_768}},
        {"ttl": timedelta(seconds=9)},
        {"ttl": timedelta(days=7, seconds=1)},
        {"id": "a b"},
        {"kind": "poll"},
        {"kind": "suggestion"},
        {"max_uses": 3},
        {"kind": "suggestion", "options": YES_OR_NO, "max_uses": 0},
    ],
    ids=str,
)
async def test_sql_askers_are_held_to_the_same_limits(conn: Conn, project: UUID, given: Row) -> None:
    assert "OX400" == await refused(ask(conn, project, **given))


async def test_the_sweep_is_bounded_ordered_and_passes_by_what_is_held(
    conn: Conn, dsn: str, clock: Clock, project: UUID
) -> None:
    """Interactions 11."""
    for n in range(25):
        await ask(conn, project, id=f"q{n:02}", ttl=timedelta(minutes=1, seconds=n))
    await ask(conn, project, id="young", ttl=timedelta(hours=1))
    clock.forward(timedelta(minutes=5))
    async with await AsyncConnection.connect(dsn, row_factory=dict_row) as holder:
        await rows(holder, "select id from outbox.interactions where id = 'q03' for update")
        first = [each["id"] for each in await rows(conn, IDS.format(10))]
    clock.forward(SECOND)
    second = [each["id"] for each in await rows(conn, IDS.format(10))]
    clock.forward(SECOND)
    third = [each["id"] for each in await rows(conn, IDS.format(10))]
    assert [f"q{n:02}" for n in range(11) if n != 3] == first
    assert ["q03", *(f"q{n:02}" for n in range(11, 20))] == second
    assert [f"q{n:02}" for n in range(20, 25)] == third
    assert [] == await rows(conn, IDS.format(10))
    told = [each["payload"]["interactionId"] for each in await events(conn, "interaction.expired")]
    assert [*first, *second, *third] == told
    assert {"pending": 1, "expired": 25} == Counter(
        each["state"] for each in await rows(conn, "select state from outbox.interactions")
    )
    for wrong in (0, 1001, "null"):
        assert "OX400" == await refused(rows(conn, IDS.format(wrong)))


async def test_one_sweep_runs_in_the_installation(conn: Conn, dsn: str, clock: Clock, project: UUID) -> None:
    """Interactions 11: whoever comes meanwhile gets nothing, and waits for nobody."""
    await ask(conn, project, ttl=10 * SECOND)
    await ask(conn, project, ttl=10 * SECOND)
    clock.forward(11 * SECOND)
    async with await AsyncConnection.connect(dsn, row_factory=dict_row) as first:
        assert 1 == len(await rows(first, IDS.format(1)))
        assert [] == await rows(conn, IDS.format(10))
    assert 1 == len(await rows(conn, IDS.format(10)))
    assert 2 == len(await events(conn, "interaction.expired"))


@proves("C17", "C18")
@pytest.mark.parametrize("rival", ["withdraw", "sweep"])
async def test_an_answer_that_races_an_end_leaves_one_state_and_one_event(
    conn: Conn, crowd: list[Conn], project: UUID, rival: str
) -> None:
    """Interactions 12: pairs, 200 rounds in all; the deadline falls somewhere among them."""
    ended: Counter[str] = Counter()
    for n in range(100):
        id_ = f"q{n}"
        await ask(conn, project, id=id_)
        if rival == "sweep":
            await conn.execute(
                "update outbox.interactions set expires_at = outbox.clock() + %s where id = %s",
                [timedelta(milliseconds=n % 4), id_],
            )

        async def end(at: str = id_) -> Any:
            if rival == "withdraw":
                return await withdraw(crowd[1], at, project)
            return await rows(crowd[1], IDS.format(10))

        await asyncio.gather(answer(crowd[0], id_, project), end())
        if rival == "sweep":
            await conn.execute("select pg_sleep(0.005)")
            await rows(conn, IDS.format(10))
        found = await row(conn, id_)
        told = await rows(
            conn,
            "select type from outbox.events where subject = %s and type <> 'interaction.asked'",
            f"interaction/{id_}",
        )
        ended[found["state"]] += 1
        assert [f"interaction.{found['state']}"] == [each["type"] for each in told]
    assert "pending" not in ended
    assert "answered" in ended


async def test_an_answer_and_the_callers_own_effect_are_all_or_nothing(
    conn: Conn, dsn: str, project: UUID
) -> None:
    """Interactions 13."""
    await conn.execute("create table public.orders (n int)")
    id_ = (await ask(conn, project))["interaction_id"]
    async with await AsyncConnection.connect(dsn, row_factory=dict_row) as own:
        assert "answered" == (await answer(own, id_, project))["outcome"]
        await own.execute("insert into public.orders values (7)")
        await own.rollback()
        assert [] == await events(conn, "interaction.answered")
        assert [] == await rows(conn, "select * from public.orders")
        assert "answered" == (await answer(own, id_, project))["outcome"]
        await own.execute("insert into public.orders values (7)")
        await own.commit()
    assert (1, 1) == (
        len(await events(conn, "interaction.answered")),
        len(await rows(conn, "select * from public.orders")),
    )


async def test_a_suggestion_counts_exactly(conn: Conn, crowd: list[Conn], project: UUID) -> None:
    """Interactions 15."""
    made = await ask(conn, project, kind="suggestion", options=YES_OR_NO, max_uses=30)
    id_ = made["interaction_id"]
    assert await use(conn, id_, project, connection="chat-2") is None
    assert "none" == (await answer(conn, id_, project))["outcome"]
    assert "OX400" == await refused(use(conn, id_, project, 2))
    found = await asyncio.gather(
        *(use(each, id_, project, n % 2, actor=f"u{n}") for n, each in enumerate(crowd))
    )
    used = [each for each in found if each is not None]
    assert [*range(1, 31)] == sorted(each["uses"] for each in used)
    told = await events(conn, "interaction.used")
    assert {each["use_event_id"] for each in used} == {each["id"] for each in told}
    assert 30 == len(told) == (await row(conn, id_))["uses"]


async def test_of_many_first_asks_one_makes_the_question(
    conn: Conn, crowd: list[Conn], project: UUID
) -> None:
    found = await outcomes([ask(each, project, id="q") for each in crowd])
    assert {False: 1, True: 49} == Counter(each["duplicate"] for each in found)
    assert 1 == len(await events(conn, "interaction.asked")) == len(await trail(conn, "interaction.asked"))


async def test_an_answer_makes_the_askers_next_job_and_nothing_is_generated_from_it(
    conn: Conn, project: UUID
) -> None:
    await rows(
        conn,
        "insert into outbox.settings values ('generation', 'per-event') on conflict (name)"
        " do update set value = excluded.value returning 1",
    )
    await rows(conn, "select outbox.open_queue('next')")
    await rows(conn, "select outbox.add_route(outbox.me(), 'interaction.answered', 'next')")
    asked = await ask(conn, project, context={"step": 2})
    await answer(conn, asked["interaction_id"], project)
    made = await rows(
        conn,
        "select q.name, e.type, e.adapter, e.payload -> 'context' as context from outbox.jobs j"
        " join outbox.queues q on q.id = j.queue_id join outbox.events e on e.id = j.event_id",
    )
    assert [("next", "interaction.answered", "outboxd", {"step": 2})] == [
        tuple(each.values()) for each in made
    ]


async def test_a_producer_asks_and_answers_in_its_projects_only(conn: Conn, project: UUID) -> None:
    other = uuid4()
    await rows(
        conn,
        "insert into outbox.projects (id, team_id, name, created_at, updated_at) select %s, team_id, 'b',"
        " outbox.clock(), outbox.clock() from outbox.projects returning outbox.open_stream(id)",
        other,
    )
    theirs = (await ask(conn, other))["interaction_id"]
    role = f"asker_{uuid4().hex[:8]}"
    await conn.execute(f"create role {role} login in role outbox_producer".encode())
    try:
        await conn.execute("insert into outbox.producers values (%s, %s)", [role, project])
        await conn.execute(f"set session authorization {role}".encode())
        own = (await ask(conn, project))["interaction_id"]
        assert "OX403" == await refused(ask(conn, other))
        assert "none" == (await answer(conn, theirs, other))["outcome"]
        assert not await withdraw(conn, theirs, other)
        assert "answered" == (await answer(conn, own, project))["outcome"]
        everywhere = "row(null, null, true, null, 'root', null)::outbox.caller"
        statement = f"select * from outbox.answer(%s, %s, %s, 'ann', '1', p_caller => {everywhere})"
        assert "OX403" == await refused(rows(conn, statement, theirs, other, CHAT))
    finally:
        await conn.execute("reset session authorization")
        await conn.execute(f"drop owned by {role}".encode())
        await conn.execute(f"drop role {role}".encode())
    assert "pending" == (await row(conn, theirs))["state"]
    asked = await rows(conn, "select asked_by from outbox.interactions where id = %s", own)
    assert [f"sql:{role}"] == [each["asked_by"] for each in asked]


async def test_an_archived_project_asks_and_answers_nothing(conn: Conn, clock: Clock, project: UUID) -> None:
    id_ = (await ask(conn, project, ttl=10 * SECOND))["interaction_id"]
    await conn.execute("update outbox.projects set archived_at = outbox.clock()")
    assert "OX409" == await refused(ask(conn, project))
    assert "OX409" == await refused(answer(conn, id_, project))
    assert "OX409" == await refused(withdraw(conn, id_, project))
    assert "pending" == (await row(conn, id_))["state"]
    clock.forward(11 * SECOND)
    assert [id_] == [each["id"] for each in await rows(conn, IDS.format(10))]
    assert [] == await events(conn, "interaction.expired")


async def test_a_purge_takes_all_questions_and_tells_nobody_of_each(
    conn: Conn, clock: Clock, project: UUID
) -> None:
    pending = (await ask(conn, project, id="old"))["interaction_id"]
    answered = (await ask(conn, project))["interaction_id"]
    await answer(conn, answered, project)
    clock.forward(SECOND)
    await rows(conn, "select outbox.begin_purge(outbox.me(), %s)", project)
    # From here on nobody sees them, whether they are gone already or not.
    assert "none" == (await answer(conn, pending, project))["outcome"]
    clock.forward(SECOND)
    assert not (await ask(conn, project, id="old", prompt="anew"))["duplicate"]
    for _ in range(20):
        [purge] = await rows(conn, "select step from outbox.continue_purge(%s)", project)
        if purge["step"] == 5:
            break
    assert ["old"] == [each["id"] for each in await rows(conn, "select id from outbox.interactions")]
    told = Counter(each["type"] for each in await events(conn))
    assert 0 == told["interaction.expired"] + told["interaction.withdrawn"]


@proves("C18")
def test_the_claim_finds_its_row_by_its_id(threads: Threads, shop: Tenant) -> None:
    from tests.plans.explain import Explained

    insert = """
        insert into outbox.interactions (id, team_id, project_id, connection_id, expected_actor, kind, prompt,
          free_text, digest, created_at, expires_at)
        select 'q' || n, %s, %s, 'chat-1', 'ann', 'question', '"?"', true, sha256('x'), outbox.clock(),
          outbox.clock() + interval '1 hour' from generate_series(1, 5000) n
    """
    threads.do(insert, shop.team, shop.project)
    threads.do("analyze outbox.interactions")
    explained = Explained(threads)
    acts: list[tuple[str, tuple[Any, ...]]] = [
        ("select * from outbox.answer('q77', %s, 'chat-1', 'ann', %s)", (shop.project, Jsonb("x"))),
        ("select outbox.withdraw('q77', %s, 'chat-1')", (shop.project,)),
        ("select * from outbox.ask(%s, 'chat-1', 'ann', %s, 'q77')", (shop.project, Jsonb("?"))),
        ("select * from outbox.expire_interactions(10)", ()),
    ]
    for statement, given in acts:
        try:
            nodes = explained.nodes(statement, *given)
        except psycopg.Error as said:
            assert said.sqlstate == "OX409", statement  # noqa: PT017 - the id is taken, which it has to look up
            continue
        read = [node for node in nodes if node.table == "interactions" and "Modify" not in node.kind]
        assert all(node.kind != "Seq Scan" and node.rows <= 20 for node in read), [statement, read]


@pytest.fixture
def threads(dsn: str, clock: Clock) -> Any:
    made = Threads(dsn)
    yield made
    made.close()


@pytest.fixture
def shop(threads: Threads) -> Tenant:
    return threads.tenant()
