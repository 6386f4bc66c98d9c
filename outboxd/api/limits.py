"""How much a key, a project and a team may ask: two layers behind the one that knows the key.

    Keys ─▶ Rates (429) ─▶ Quotas (402) ─▶ Scopes …

Requests of a key and events of a project are counted in windows of a minute that all processes
share, requests of a team by the month. What cannot be asked lets everybody through, with a metric.
Weakness: of the month each process knows what the others counted only some seconds later.
"""

import asyncio
import time
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

import msgspec
import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from outboxd import telemetry
from outboxd.api.exchange import Exchange, of
from outboxd.db.pool import Database
from outboxd.errors import Error, QuotaExceeded, RateLimited
from outboxd.loops.requests import Requests, Who
from outboxd.store import rates, usage
from outboxd.store.rates import Window

log = structlog.get_logger()

_PATIENCE = 1.0
_KNOWN_FOR = 5.0
_MOST_TEAMS = 10_000
_NOT_COUNTED = {402, 403, 429}
_SAID = {
    b"x-ratelimit-limit",
    b"x-ratelimit-remaining",
    b"x-ratelimit-reset",
    b"ratelimit",
    b"ratelimit-policy",
}


class Rates:
    """The layer that counts a key's requests."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = of(scope)
        most = exchange.api.config.rate_limit_per_min
        if most and exchange.key is not None and exchange.operation.auth == "key":
            try:
                await _take(exchange, "requests", exchange.key.id, 1, most)
            except RateLimited:
                who = _who(exchange)
                if who is not None:
                    exchange.api.requests.refused(who, counted=False)
                raise
        await self._app(scope, receive, send)


class Quotas:
    """The layer that meters a team's requests, and ends them where its month is used up."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = of(scope)
        who = _who(exchange)
        if who is None or exchange.operation.auth != "key":
            await self._app(scope, receive, send)
            return
        requests = exchange.api.requests
        requests.count(who)
        try:
            await exchange.api.quotas.take(who[0])
            await self._app(scope, receive, send)
        except Error as refused:
            if refused.status in _NOT_COUNTED:
                requests.refused(who, counted=True)
                exchange.api.quotas.give_back(who[0])
            raise


class _Month(msgspec.Struct, kw_only=True, eq=False):
    until: float
    used: int
    cap: int | None


class Quota:
    """What each team has used of its month, as the database said a moment ago and this process since."""

    def __init__(self, db: Database, requests: Requests, most: int) -> None:
        self._db = db
        self._requests = requests
        self._most = most or None
        self._known: dict[UUID, _Month] = {}

    async def take(self, team: UUID) -> None:
        """Counts one. Raises QuotaExceeded; the caller gives it back then, as for every refusal."""
        month = self._known.get(team)
        if month is None or month.until < time.monotonic():
            month = await self._read(team)
        else:
            month.used += 1
        if month.cap is not None and month.used > month.cap:
            raise QuotaExceeded(
                "the team has used up its requests of this month", used=month.used - 1, cap=month.cap
            )

    def give_back(self, team: UUID) -> None:
        month = self._known.get(team)
        if month is not None:
            month.used -= 1

    async def _read(self, team: UUID) -> _Month:
        """The request that asks is among those that are pending."""
        until = time.monotonic() + _KNOWN_FOR
        try:
            async with asyncio.timeout(_PATIENCE), self._db.connection() as conn:
                found = await usage.month_requests(conn, team)
        except (Error, TimeoutError) as failed:
            _open("quota", failed)
            return _Month(until=until, used=0, cap=None)
        cap = self._most if found.cap is None else found.cap
        while len(self._known) >= _MOST_TEAMS:
            del self._known[next(iter(self._known))]
        month = _Month(until=until, used=found.used + self._requests.pending(team), cap=cap)
        self._known[team] = month
        return month


async def take_events(exchange: Exchange, costs: Mapping[UUID, int]) -> None:
    """Counts events of projects. Raises RateLimited for one that has had its minute's."""
    most = exchange.api.config.event_rate_per_min
    for project, cost in costs.items() if most else ():
        await _take(exchange, "events", project, cost, most)


async def _take(exchange: Exchange, kind: str, subject: UUID, cost: int, most: int) -> None:
    try:
        async with asyncio.timeout(_PATIENCE), exchange.api.db.connection() as conn:
            window = await rates.take(conn, subject, kind, cost)
    except (Error, TimeoutError) as failed:
        _open(kind, failed)
        return
    over = window.used > most
    _say(exchange, kind, window, most, over=over)
    if over:
        telemetry.HTTP_REFUSED_TOTAL.labels("rate").inc()
        raise RateLimited(
            f"at most {most} {kind} a minute", retry_in=timedelta(seconds=max(1, window.seconds))
        )


def _say(exchange: Exchange, kind: str, window: Window, most: int, *, over: bool) -> None:
    """Of two limits the requests' is told, unless the other was the one that refused."""
    told = any(name == b"ratelimit" for name, _ in exchange.extra)
    if told and not over:
        return
    left, seconds = max(0, most - window.used), max(1, window.seconds)
    exchange.extra[:] = [header for header in exchange.extra if header[0] not in _SAID]
    exchange.extra += [
        (b"x-ratelimit-limit", b"%d" % most),
        (b"x-ratelimit-remaining", b"%d" % left),
        (b"x-ratelimit-reset", b"%d" % window.ends),
        (b"ratelimit-policy", b'"%b";q=%d;w=60' % (kind.encode(), most)),
        (b"ratelimit", b'"%b";r=%d;t=%d' % (kind.encode(), left, seconds)),
    ]


def _open(limit: str, failed: Exception) -> None:
    telemetry.LIMITS_NOT_ASKED_TOTAL.labels(limit).inc()
    log.warning("limit not asked", limit=limit, code=getattr(failed, "code", type(failed).__name__))


def _who(exchange: Exchange) -> Who | None:
    key = exchange.key
    return None if key is None or key.team_id is None else (key.team_id, key.project_id)
