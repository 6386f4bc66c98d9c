"""GET /v1/usage: what a team, or a project, used in a month, and what is left."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import groupby

from outboxd.api import exchange as x
from outboxd.api import queries
from outboxd.api.exchange import Exchange, Reply
from outboxd.db import rows
from outboxd.model.usage import Usage, UsageGroup
from outboxd.store import usage
from outboxd.store.usage import Amount, GroupBy

QUERY = frozenset({"month", "groupBy"})
KINDS = (
    "request", "event", "observation", "call", "call_failed", "tokens", "tokens_in", "tokens_out",
    "cost_micros",
)  # fmt: skip
_UNPRICED = "call_unpriced"
_MONTH = re.compile(r"([12][0-9]{3})-(0[1-9]|1[0-2])")
_GROUPS: dict[str, GroupBy] = {"project": "project", "model": "model", "day": "day"}


async def show(exchange: Exchange) -> Reply:
    """GET /v1/usage: a month of the key's team, or of its project"""
    by = _GROUPS.get(queries.choice(exchange, "groupBy", _GROUPS) or "")
    month = _month(exchange)
    caller, most = exchange.caller, exchange.api.config.monthly_request_cap
    async with exchange.api.db.connection() as conn:
        since = month or _begin(await rows.value(await conn.execute(b"select outbox.clock()"), datetime))
        until = _next(since)
        amounts = await usage.report(conn, caller, since=since, until=until, group_by=by)
        caps = await usage.caps(conn, caller, most or None)
    totals = _totals(amounts)
    return x.json(
        Usage(
            since=_iso(since),
            until=_iso(until),
            usage={kind: totals.get(kind, 0) for kind in KINDS},
            cost_unknown_calls=totals.get(_UNPRICED, 0),
            caps={each.budget: each.cap for each in caps},
            remaining={each.budget: max(0, each.cap - each.spent) for each in caps},
            groups=_grouped(amounts) if by else [],
        )
    )


def _month(exchange: Exchange) -> datetime | None:
    given = exchange.query.get("month")
    if given is None:
        return None
    found = _MONTH.fullmatch(given)
    if found is None:
        raise queries.refused("month", "YYYY-MM")
    return datetime(int(found[1]), int(found[2]), 1, tzinfo=UTC)


def _begin(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _next(month: datetime) -> datetime:
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)


def _totals(amounts: Iterable[Amount]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for each in amounts:
        totals[each.kind] = totals.get(each.kind, 0) + each.amount
    return totals


def _grouped(amounts: list[Amount]) -> list[UsageGroup]:
    """They come in order of their group."""
    return [
        UsageGroup(key=key, usage={each.kind: each.amount for each in those if each.kind in KINDS})
        for key, those in groupby(amounts, lambda each: each.group)
    ]


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
