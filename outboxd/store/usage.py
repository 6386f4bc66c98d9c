"""What tenants used: requests, events, calls of models, and what these cost."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from outboxd.db import rows
from outboxd.model import Caller
from outboxd.store.callers import CALLER, row

Conn = AsyncConnection[dict[str, Any]]
GroupBy = Literal["project", "model", "day"]

_ADD = b"""
insert into outbox.usage_requests as u (team_id, project_id, day, requests, refused)
select g.team_id, g.project_id, (outbox.clock() at time zone 'UTC')::date, g.requests, g.refused
from unnest(%s::uuid[], %s::uuid[], %s::bigint[], %s::bigint[]) g (team_id, project_id, requests, refused)
order by g.team_id, g.project_id
on conflict (team_id, day, coalesce(project_id, '00000000-0000-0000-0000-000000000000'))
do update set requests = u.requests + excluded.requests, refused = u.refused + excluded.refused
"""
_MONTH_REQUESTS = b"""
select (t.budgets ->> 'requestsPerMonth')::bigint as cap, (
  select coalesce(sum(u.requests), 0)::bigint from outbox.usage_requests u
  where u.team_id = t.id and u.day >= date_trunc('month', outbox.clock() at time zone 'UTC')::date) as used
from outbox.teams t where t.id = %s
"""
_REPORT = f"select * from outbox.usage_of({CALLER}, %s, %s, %s)".encode()
_CAPS = f"select * from outbox.usage_caps({CALLER}, %s)".encode()
_ROLL_UP = b"select outbox.roll_up_usage(%s, %s) as done"


class Requested(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of a team's keys, or of a project's, since they were last added."""

    team: UUID
    project: UUID | None
    requests: int
    refused: int


class MonthRequests(msgspec.Struct, frozen=True, kw_only=True):
    used: int
    cap: int | None
    """The team's own; None: the server's holds."""


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    group: str | None
    """A project's id, a model, a day; None where the kind has none, or where nothing is grouped."""
    kind: str
    amount: int


class Cap(msgspec.Struct, frozen=True, kw_only=True):
    budget: str
    cap: int
    spent: int


async def add_requests(conn: Conn, counted: Sequence[Requested]) -> None:
    """To the day that it is now."""
    await conn.execute(
        _ADD,
        (
            [each.team for each in counted],
            [each.project for each in counted],
            [each.requests for each in counted],
            [each.refused for each in counted],
        ),
    )


async def month_requests(conn: Conn, team: UUID) -> MonthRequests:
    """Of this month of UTC, by all keys of the team."""
    return await rows.one(await conn.execute(_MONTH_REQUESTS, (team,)), MonthRequests)


async def report(
    conn: Conn, caller: Caller, *, since: datetime, until: datetime, group_by: GroupBy | None
) -> list[Amount]:
    """Every kind that is not nothing, of the caller's team, or of its project; `since` begins a month."""
    return await rows.many(await conn.execute(_REPORT, (row(caller), since, until, group_by)), Amount)


async def caps(conn: Conn, caller: Caller, requests: int | None) -> list[Cap]:
    """The project's, else the team's, with what is spent; `requests`: the server's cap of a month."""
    return await rows.many(await conn.execute(_CAPS, (row(caller), requests)), Cap)


async def roll_up(conn: Conn, kept: Any, limit: int = 5000) -> int:
    """Sums up a month that is over, and lets rows go that are older than `kept`; how many it dealt with."""
    return await rows.value(await conn.execute(_ROLL_UP, (kept, limit)), int)
