"""What must hold of memory when all agents have gone and all is quiet, and a sentence for what does not."""

from collections.abc import Sequence
from typing import Any

from psycopg import Connection

from tests import invariants

_RULES: Sequence[tuple[str, str]] = (
    (
        "events that are not told of by exactly one observation",
        """
        select count(*) from outbox.events e where 1 <> (
          select count(*) from outbox.observation_sources s
          join outbox.observations o on o.id = s.observation_id
          where s.source_id = e.id and o.origin = 'generated')
        """,
    ),
    (
        "observations that do not tell of exactly one event of their own session",
        """
        select count(*) from outbox.observations o where o.origin = 'generated' and 1 <> (
          select count(*) from outbox.observation_sources s
          join outbox.events e on e.id = s.source_id
          where s.observation_id = o.id and e.session_id = o.session_id)
        """,
    ),
    (
        "sessions without exactly one summary that covers all of their events and observations",
        """
        with seen as (
          select s.id, (select count(*) from outbox.events e where e.session_id = s.id) as events,
            (select count(*) from outbox.observations o
              where o.session_id = s.id and o.origin = 'generated') as observations
          from outbox.sessions s
        )
        select count(*) from seen where 1 <> (
          select count(*) from outbox.observations o where o.session_id = seen.id and o.origin = 'summary'
            and (o.metadata ->> 'eventCount')::int = seen.events
            and (o.metadata ->> 'observationCount')::int = seen.observations)
        """,
    ),
    (
        "events without exactly one job of generation",
        """
        select count(*) from outbox.events e
        where 1 <> (select count(*) from outbox.jobs j where j.event_id = e.id)
        """,
    ),
    (
        "jobs that did not complete exactly once, and end with it",
        """
        with ends as (
          select a.job_id, count(*) filter (where a.outcome = 'completed') as completed,
            (array_agg(a.outcome order by a.no desc))[1] as last
          from outbox.attempts a group by a.job_id
        )
        select count(*) from outbox.jobs j left join ends e on e.job_id = j.id
        where e.completed is distinct from 1 or e.last is distinct from 'completed'
        """,
    ),
    (
        "jobs that still stand somewhere",
        """
        select (select count(*) from outbox.ready) + (select count(*) from outbox.later)
          + (select count(*) from outbox.leases) + (select count(*) from outbox.dead_letters)
        """,
    ),
    (
        "observations that no metered call led to, or the other way round",
        """
        select abs((select count(*) from outbox.observations where origin = 'generated')
          + (select coalesce(sum(revision), 0) from outbox.observations where origin = 'summary')
          - (select coalesce(sum(observations), 0) from outbox.usage_calls where class = 'ok'))
        """,
    ),
    (
        "calls metered as lost that no worker died in",
        """
        select count(*) from outbox.usage_calls u where u.class = 'lost' and not exists (
          select from outbox.attempts a where a.outcome = 'lost' and a.at >= u.at)
        """,
    ),
)


def broken(conn: Connection[Any], *, events: int, sessions: int, calls: int) -> list[str]:
    """`calls`: how many the model says it was asked."""
    found = [f"{count} {what}" for what, rule in _RULES for (count,) in [_row(conn, rule)] if count]
    found += invariants.broken(conn)
    found += _counted(conn, "events", events)
    found += _counted(conn, "sessions", sessions)
    return found + _metered(conn, calls)


def _counted(conn: Connection[Any], table: str, expected: int) -> list[str]:
    (seen,) = _row(conn, f"select count(*) from outbox.{table}")
    return [] if seen == expected else [f"{seen} {table} instead of {expected}"]


def _metered(conn: Connection[Any], calls: int) -> list[str]:
    """Each call is on record before it is made; what has another class than `lost` was made."""
    rows, lost = _row(conn, "select count(*), count(*) filter (where class = 'lost') from outbox.usage_calls")
    return (
        [] if rows - lost <= calls <= rows else [f"{rows} calls metered, {lost} of them lost; {calls} made"]
    )


def _row(conn: Connection[Any], statement: str) -> tuple[Any, ...]:
    row = conn.execute(statement.encode()).fetchone()
    assert row is not None
    return tuple(row)
