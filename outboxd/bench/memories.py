"""A project that has been at work for months: observations about files, in words as people use them.

A few words are in most of them, most words in a few (Zipf). The same seed makes the same. Only some
thousand are made as they are recorded; the others repeat them at other times, which keeps how often
each word is met, and takes seconds instead of minutes.
"""

import random
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

COMMON = "test"
"""In every second observation."""
_WORDS = 20_000
_SENTENCE = 40
_DISTINCT = 4_000
_FILES = ("src/app.py", "src/store/orders.py", "tests/test_orders.py", "docs/deploy.md", "sql/claim.sql")
_KINDS = ("discovery", "change", "bugfix", "decision")

_MAKE = """
insert into outbox.observations (id, team_id, project_id, origin, kind, content, metadata, platform_source,
  created_at, updated_at, search)
select outbox.uuid7(at), p.team_id, p.id, 'generated', m.kind, m.content, m.metadata, 'claude', at, at,
  outbox.memory_vector(p.id, m.content, m.metadata)
from jsonb_to_recordset(%s) m (n int, kind text, content text, metadata jsonb)
cross join lateral (select outbox.clock() - make_interval(mins => 1 + m.n) as at) a
cross join outbox.projects p where p.id = %s
"""
_REPEAT = """
insert into outbox.observations (id, team_id, project_id, origin, kind, content, metadata, platform_source,
  created_at, updated_at, search)
select outbox.uuid7(at), o.team_id, o.project_id, o.origin, o.kind, o.content, o.metadata, o.platform_source,
  at, at, o.search
from generate_series(1, %s::int) again
cross join (select * from outbox.observations order by id desc limit %s) o
cross join lateral (select o.created_at - again * interval '3 days' as at) a
"""
_INDEX = "select indexdef from pg_indexes where schemaname = 'outbox' and indexname = 'observations_search'"


def stock(dsn: str, observations: int, project: UUID, seed: int = 7) -> None:
    """So many, with fresh statistics. The index is made when they are there."""
    talk = Talk(seed)
    distinct = min(observations, _DISTINCT)
    with psycopg.connect(dsn, autocommit=True) as conn:
        (index,) = conn.execute(_INDEX).fetchone() or ("",)
        conn.execute("drop index outbox.observations_search")
        conn.execute(_MAKE, [Jsonb([talk.observation(n) for n in range(distinct)]), project])
        conn.execute(_REPEAT, [observations // distinct - 1, distinct])
        conn.execute(index)
        conn.execute("vacuum (analyze) outbox.observations")


class Talk:
    """Sentences; the n-th of a seed is always the same."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._words = [f"{_syllables(n)}" for n in range(_WORDS)]
        self._weights = [1 / (n + 20) for n in range(_WORDS)]

    def observation(self, n: int) -> dict[str, object]:
        words = self.words(_SENTENCE) + ([COMMON] if n % 2 else [])
        title = " ".join(words[:5]).capitalize()
        told = " ".join(words[5:])
        files = [self._random.choice(_FILES)]
        return {
            "n": n,
            "kind": self._random.choice(_KINDS),
            "content": f"{title}\n\n{told}.",
            "metadata": {"title": title, "narrative": told, "concepts": ["pattern"], "files_read": files},
        }

    def words(self, count: int) -> list[str]:
        return self._random.choices(self._words, self._weights, k=count)

    def ordinary(self) -> str:
        """Three words as they are asked for: neither in everything nor in nothing."""
        return " ".join(self._random.choice(self._words[200:4000]) for _ in range(3))


def _syllables(n: int) -> str:
    """A word of its own for each number, that a stemmer leaves alone."""
    parts = ("ka", "lo", "mi", "ru", "te", "no", "pa", "vi", "so", "du")
    return "".join(parts[int(digit)] for digit in f"{n:05}")
