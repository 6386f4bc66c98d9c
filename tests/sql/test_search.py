"""`outbox.search` says something about any text, finds by any of its promises, and asks one index once."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from tests.engine import EVERYWHERE, Engine, Tenant
from tests.plans.explain import Explained
from tests.proofs import proves

_REMEMBER = """
select observation_id from outbox.write_memory({everywhere}, %s,
  jsonb_build_object('content', %s::text, 'kind', 'manual', 'metadata', %s::jsonb))
"""
_SEARCH = "select s.id, s.score, s.relaxed from outbox.search({everywhere}, %s, %s, '{{}}', %s) s"
_FILL = """
insert into outbox.observations
  (id, team_id, project_id, origin, kind, content, created_at, updated_at, search)
select outbox.uuid7(t.at), p.team_id, p.id, 'generated', 'discovery', t.said, t.at, t.at,
  outbox.memory_vector(p.id, t.said, '{}')
from outbox.projects p
cross join lateral (
  select outbox.clock() - n * interval '1 s' as at,
    'all of them say kettle, some of them number ' || n || ' or word' || mod(n, 97) as said
  from generate_series(1, %s) n) t
"""


def remember(engine: Engine, tenant: Tenant, content: str, **metadata: Any) -> UUID:
    made: UUID = engine.one(_REMEMBER.format(everywhere=EVERYWHERE), tenant.project, content, Jsonb(metadata))
    return made


def search(engine: Engine, tenant: Tenant, query: str, limit: int = 20) -> list[dict[str, Any]]:
    return engine.rows(_SEARCH.format(everywhere=EVERYWHERE), tenant.project, query, limit)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=st.text(st.characters(exclude_characters="\x00", codec="utf-8"), max_size=200))
@example(query="-" * 4000)
@example(query='"' * 4001)
@example(query="x" * 4000)
@example(query="猫" * 4000)
@example(query="\\' | & ! <-> :* ( ) 'a''b")
@example(query="http://a.b/'東'?q=\\東 東\\ 'x'")
@example(query='a or or OR -or "or" - -- ---')
@example(query="\u1680\u200b\ufeff\u00ad")
@example(query=" ".join(f"w{n}" for n in range(800)))
def test_no_query_is_an_error(engine: Engine, tenant: Tenant, query: str) -> None:
    with engine.conn.transaction(force_rollback=True):
        remember(engine, tenant, "tea or coffee, 東京 w1 w2")
        search(engine, tenant, query)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1, max_size=300))
@example(text="x" * 262_144)
@example(text="".join(chr(0x4E00 + n % 20_000) for n in range(87_000)))
@example(text=" ".join(f"{n:x}zq" for n in range(32_000)))
def test_any_text_can_be_remembered(engine: Engine, tenant: Tenant, text: str) -> None:
    with engine.conn.transaction(force_rollback=True):
        made = remember(engine, tenant, text, title=text[:300], files_read=[text[:100]], concepts=text[:9])
        assert text == engine.one("select content from outbox.observations where id = %s", made)


def test_of_a_text_too_large_for_a_vector_the_beginning_is_found(engine: Engine, tenant: Tenant) -> None:
    words = " ".join(f"{n:07x}{n:07x}{n:07x}" for n in range(60_000))
    remember(engine, tenant, f"kettle {words}")
    assert 1 == len(search(engine, tenant, "kettle"))


def test_no_text_names_a_project(engine: Engine, tenant: Tenant) -> None:
    lexeme = engine.one(
        "select outbox.project_lexeme(number) from outbox.projects where id = %s", tenant.project
    )
    other = engine.tenant()
    remember(engine, other, f"{lexeme} '{lexeme}' \"{lexeme}\"", title=lexeme, files_read=[lexeme])
    vector = engine.one("select tsvector_to_array(search) from outbox.observations")
    assert lexeme not in vector
    assert [] == search(engine, tenant, lexeme)


@pytest.mark.parametrize(("words", "needed"), [(2, 1), (3, 1), (4, 2), (6, 2), (7, 3), (9, 3), (12, 4)])
def test_a_third_of_the_words_is_enough_and_less_is_not(
    engine: Engine, tenant: Tenant, words: int, needed: int
) -> None:
    terms = [f"term{n}x" for n in range(words)]
    enough = remember(engine, tenant, " ".join(terms[-needed:]))
    spread = remember(engine, tenant, " ".join(terms[:: max(1, words // needed)][:needed]))
    if needed > 1:
        remember(engine, tenant, " ".join(terms[: needed - 1]))
    remember(engine, tenant, "unrelated")
    found = search(engine, tenant, " ".join(terms))
    assert {enough, spread} == {row["id"] for row in found}
    assert all(row["relaxed"] for row in found)


def test_of_a_prompt_64_terms_are_used(engine: Engine, tenant: Tenant) -> None:
    terms = [f"term{n}x" for n in range(90)]
    enough = remember(engine, tenant, " ".join(terms[10:32]))
    remember(engine, tenant, " ".join(terms[60:90]))
    assert [enough] == [row["id"] for row in search(engine, tenant, " ".join(terms))]


def test_relaxed_matches_come_after_strict_ones_whatever_their_score(engine: Engine, tenant: Tenant) -> None:
    strict = remember(engine, tenant, "red " + "x " * 200 + "kettle")
    loose = remember(engine, tenant, "red red red", title="red")
    found = search(engine, tenant, "red kettle")
    assert [(strict, False), (loose, True)] == [(row["id"], row["relaxed"]) for row in found]
    assert found[0]["score"] < found[1]["score"] <= 0.5


def check_plan(engine: Engine, dsn: str, rows: int, statistics: str) -> None:
    tenant, _ = engine.tenant(), engine.tenant()
    if statistics == "stale":
        engine.do("analyze outbox.observations")
    engine.rows("with made as (" + _FILL.strip() + " returning 1) select count(*) from made", rows)
    if statistics == "fresh":
        engine.do("analyze outbox.observations")
    explained = Explained(Engine(dsn))
    for query in ("word3", "kettle", "word3 word4 kettle number", "-word5"):
        nodes = explained.nodes(_SEARCH.format(everywhere=EVERYWHERE), tenant.project, query, 20)
        scans = [node for node in nodes if node.table == "observations"]
        indexes = {
            node.index
            for node in nodes
            if node.kind == "Bitmap Index Scan" and node.index.startswith("observ")
        }
        assert {"observations_search"} == indexes, query
        assert {"Bitmap Heap Scan", "Tid Scan"} >= {node.kind for node in scans}, query
        own = rows / 10 if query == "word3" else rows
        assert all(node.rows <= own + 5 for node in scans if node.kind == "Bitmap Heap Scan"), query
        assert all(node.rows <= 2000 for node in scans if node.kind == "Tid Scan"), query
    explained.engine.close()


@proves("G5")
@pytest.mark.parametrize("statistics", ["none", "stale", "fresh"])
def test_a_search_asks_one_index_for_project_and_words(engine: Engine, dsn: str, statistics: str) -> None:
    check_plan(engine, dsn, 400, statistics)


@proves("G5")
@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_a_search_asks_one_index_among_a_hundred_thousand(engine: Engine, dsn: str) -> None:
    check_plan(engine, dsn, 100_000, "fresh")


def test_a_purge_waits_for_whoever_writes_and_hides_what_they_wrote(
    engine: Engine, dsn: str, tenant: Tenant
) -> None:
    writer, purger = Engine(dsn), Engine(dsn)

    async def race() -> None:
        with writer.conn.transaction():
            remember(writer, tenant, "kettle")
            purging = asyncio.create_task(
                asyncio.to_thread(
                    purger.rows, f"select * from outbox.begin_purge({EVERYWHERE}, %s)", tenant.project
                )
            )
            await asyncio.to_thread(waits, engine)
        await purging

    asyncio.run(race())
    assert [] == search(engine, tenant, "kettle")
    assert 1 == engine.one("select count(*) from outbox.observations")
    writer.close()
    purger.close()


def waits(engine: Engine) -> None:
    """Until a connection of this database waits for a lock."""
    asked = (
        "select exists (select from pg_stat_activity where wait_event_type = 'Lock'"
        " and datname = current_database())"
    )
    while not engine.one(asked):
        engine.one("select 1 from pg_sleep(0.01)")
