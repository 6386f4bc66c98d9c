"""What a search finds is what its definition says, read row by row in plain SQL without an index."""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine import EVERYWHERE, Engine, Tenant

_WORDS = [f"word{n}x" for n in range(90)]
_OFTEN = [1 / (n + 1) for n in range(90)]
_SEARCH = (
    f"select s.id, s.score, s.relaxed from outbox.search({EVERYWHERE}, %s, %s, '{{}}', %s, %s::timestamptz) s"
)
_DEFINED = """
with asked as (
  select outbox.search_query(a.query) as words, outbox.search_terms(a.query, 64) as terms,
    outbox.has_operators(a.query) as operators, a.project, a.most, a.at
  from (select %s::uuid as project, %s::text as query, %s::int as most, %s::timestamptz as at) a
), counted as (
  select o.id, o.updated_at, o.created_at, o.search, a.*, o.search @@ a.words as strict,
    (select count(*) from unnest(a.terms) t (term)
      where o.search @@ outbox.term_query(t.term)::tsquery) as met
  from outbox.observations o join asked a on a.project = o.project_id
), found as (
  select c.id, c.updated_at, not c.strict as relaxed, case when c.strict then 1 else 0.5 end
      * ts_rank_cd(c.search, case when c.strict then c.words else
        (select string_agg(outbox.term_query(t.term), ' | ') from unnest(c.terms) t (term))::tsquery end, 32)
      * (0.7 + 0.3 * power(2::float8, extract(epoch from c.created_at - c.at)::float8 / 2592000)) as score
  from counted c
  where c.strict or (3 * c.met >= cardinality(c.terms) and cardinality(c.terms) > 1 and not c.operators
    and (select count(*) from counted s where s.strict) < c.most)
)
select f.id, f.score, f.relaxed from found f, asked a
order by f.relaxed, f.score desc, f.updated_at desc, f.id desc limit (select most + 1 from asked)
"""


def remember(engine: Engine, tenant: Tenant, chance: random.Random, observations: int) -> None:
    for _ in range(observations):
        said = " ".join(chance.choices(_WORDS, _OFTEN, k=chance.randint(1, 40)))
        engine.do(
            f"select outbox.write_memory({EVERYWHERE}, %s,"
            " jsonb_build_object('content', %s::text, 'kind', 'manual', 'metadata', '{}'::jsonb))",
            tenant.project,
            said,
        )
    engine.do(
        "update outbox.observations set created_at = created_at - make_interval(days => id_hash)"
        " from (select id as of_id, abs(hashtext(id::text)) %% 90 as id_hash from outbox.observations) h"
        " where id = of_id and project_id = %s",
        tenant.project,
    )


def rounded(rows: list[dict[str, Any]]) -> list[tuple[Any, bool, float]]:
    return [(row["id"], row["relaxed"], round(row["score"], 6)) for row in rows]


@pytest.mark.parametrize("statistics", [False, True])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.integers(1, 90),
    even=st.booleans(),
    limit=st.sampled_from([1, 5, 20, 100]),
    seed=st.integers(0, 2**32),
)
def test_a_search_finds_what_its_definition_says(
    engine: Engine, stocked: Tenant, statistics: bool, words: int, even: bool, limit: int, seed: int
) -> None:
    if statistics:
        engine.do("analyze outbox.observations")
    chance = random.Random(seed)
    query = " ".join(chance.choices(_WORDS, None if even else _OFTEN, k=words))
    now = engine.one("select outbox.clock()")
    given = (stocked.project, query, limit, now)
    assert rounded(engine.rows(_DEFINED, *given)) == rounded(engine.rows(_SEARCH, *given))


@pytest.mark.parametrize("terms", [1, 2, 3, 5, 8])
def test_some_of_the_terms_is_met_by_so_many_and_no_fewer(engine: Engine, terms: int) -> None:
    wrong = engine.rows(
        """
        with terms as (select array(select 't' || i from generate_series(1, %(terms)s) i) as all_of)
        select n.needed, array_length(s.some, 1) from terms
        cross join generate_series(0, (1 << %(terms)s) - 1) as bits
        cross join generate_series(1, %(terms)s) n (needed)
        cross join lateral (select array(
          select t from unnest(all_of) with ordinality u (t, at)
          where bits & (1 << (at::int - 1)) > 0) as some) s
        where (array_to_tsvector(s.some) @@ outbox.some_of(all_of, n.needed)::tsquery)
          is distinct from (cardinality(s.some) >= n.needed)
        """.replace("%(terms)s", str(terms))
    )
    assert [] == wrong


@pytest.mark.parametrize("terms", [2, 6, 7, 9, 10, 12, 17, 31, 32, 33, 64])
def test_the_condition_of_a_relaxed_search_lets_all_through_that_have_enough(
    engine: Engine, terms: int
) -> None:
    chance, needed = random.Random(terms), (terms + 2) // 3
    all_of = [f"t{n}" for n in range(terms)]
    query = engine.one("select outbox.relaxed_query(%s, %s)::text", all_of, needed)
    enough = [chance.sample(all_of, needed) for _ in range(300)]
    assert {True} == met(engine, query, enough)
    if needed <= 3:
        assert {False} == met(engine, query, [each[1:] for each in enough])


def met(engine: Engine, query: str, texts: list[list[str]]) -> set[bool]:
    asked = (
        "select array_to_tsvector(string_to_array(s, ' ')) @@ %s::tsquery as met from unnest(%s::text[]) s"
    )
    return {row["met"] for row in engine.rows(asked, query, [" ".join(each) for each in texts])}


@pytest.fixture
def stocked(engine: Engine, tenant: Tenant) -> Tenant:
    """Two projects that remember the same kind of things."""
    for project in (tenant, engine.tenant()):
        remember(engine, project, random.Random(str(project.lane)), 60)
    return tenant
