"""backoff, uuid7, candidates, fingerprint: functions of their arguments and nothing else."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from tests.engine import Engine
from tests.proofs import proves


def moments(first: int, last: int) -> st.SearchStrategy[datetime]:
    """Of these years; a datetime without a zone is what hypothesis wants as a bound."""
    return st.datetimes(datetime(first, 1, 2), datetime(last, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


UNIT = st.integers(0, 2**32).map(lambda n: n / 2**32)
"""As random() draws: no denormal numbers."""

some = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@proves("L11")
@some
@given(
    n=st.integers(-5, 10**6),
    u=UNIT,
    base=st.integers(1, 86_400_000),
    cap=st.integers(1, 86_400_000),
)
def test_backoff_doubles_within_its_bounds_and_never_overflows(
    engine: Engine, n: int, u: float, base: int, cap: int
) -> None:
    wait = engine.one("select outbox.backoff(%s, %s, %s)", n, Jsonb({"baseMs": base, "capMs": cap}), u)
    full = min(cap, base * 2 ** min(max(n, 1) - 1, 30)) / 1000

    assert wait.total_seconds() == pytest.approx(full * (0.5 + u / 2), abs=2e-6, rel=1e-9)


@proves("L11")
@some
@given(n=st.integers(1, 10**6), u=UNIT, waits=st.lists(st.integers(0, 10**8), min_size=1, max_size=20))
def test_a_schedule_is_kept_to_a_fifth_and_its_last_entry_repeats(
    engine: Engine, n: int, u: float, waits: list[int]
) -> None:
    wait = engine.one("select outbox.backoff(%s, %s, %s)", n, Jsonb({"scheduleMs": waits}), u)
    named = waits[min(n, len(waits)) - 1] / 1000

    assert wait.total_seconds() == pytest.approx(named * (0.8 + 0.4 * u), abs=2e-6, rel=1e-9)


@some
@given(at=moments(1970, 2105))
def test_uuid7_is_an_rfc_9562_id_of_its_time(engine: Engine, at: datetime) -> None:
    row = engine.rows(
        "select i.id, outbox.uuid7_time(i.id) as at, outbox.uuid7_floor(%s) as low"
        " from outbox.uuid7(%s) i(id)",
        *(at, at),
    )[0]
    made: UUID = row["id"]

    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert row["at"] == at.replace(microsecond=at.microsecond // 1000 * 1000)
    assert row["low"] <= made


@some
@given(
    at=moments(2020, 2100),
    us=st.integers(1, 10**6),
)
def test_ids_sort_as_they_were_made_to_the_microsecond(engine: Engine, at: datetime, us: int) -> None:
    first, second = engine.rows(
        "select outbox.uuid7(t) as id from unnest(%s::timestamptz[]) t", [at, at + timedelta(microseconds=us)]
    )
    assert first["id"] < second["id"]


def test_ids_are_not_made_twice(engine: Engine) -> None:
    sql = "select count(distinct outbox.uuid7(outbox.clock())) from generate_series(1, 5000)"
    assert engine.one(sql) == 5000


@pytest.mark.parametrize(
    ("kind", "patterns"),
    [
        ("a", {"a", "*"}),
        ("a.b.c", {"a.b.c", "a.b.*", "a.*", "*"}),
        ("a..b", {"a..b", "a..*", "a.*", "*"}),
        (".", {".", ".*", "*"}),
        ("ab", {"ab", "*"}),
    ],
)
def test_the_patterns_that_match_a_type(engine: Engine, kind: str, patterns: set[str]) -> None:
    assert set(engine.one("select outbox.candidates(%s)", kind)) == patterns


def test_a_fingerprint_sees_type_subject_and_payload_and_no_key_order(engine: Engine) -> None:
    sql = "select outbox.fingerprint(%s, %s, %s::jsonb)"
    same = {engine.one(sql, "t", "s", body) for body in ('{"a": 1, "b": 2}', '{"b":2,"a":1}')}
    other = {
        engine.one(sql, *args)
        for args in (("u", "s", "{}"), ("t", None, "{}"), ("t", "s", "{}"), ("ts", "", "{}"))
    }
    assert (len(same), len(other)) == (1, 4)
