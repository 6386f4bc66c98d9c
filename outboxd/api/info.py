"""GET /v1/info: what this is. Without a key nothing but that; with one, what waits to be remembered."""

import time
from uuid import UUID

from outboxd import __version__
from outboxd.api import exchange as x
from outboxd.api import ops
from outboxd.api.exchange import Exchange, Reply
from outboxd.db import rows
from outboxd.db.pool import Database
from outboxd.errors import Error
from outboxd.model import health
from outboxd.store import lanes

_SCHEMA = b"select coalesce(max(substring(path from 'migrations/(\\d+)')::int), 0) from outbox.migrations"
_FRESH = 5.0
_MOST = 1000


class Lanes:
    """By team and project, remembered for 5 s."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: dict[tuple[UUID, UUID | None], tuple[float, list[health.Lane]]] = {}

    async def of(self, team: UUID, project: UUID | None) -> list[health.Lane]:
        """Raises DatabaseUnavailable."""
        known = self._known.get((team, project))
        if known is not None and known[0] > time.monotonic():
            return known[1]
        async with self._db.connection() as conn:
            found = await lanes.read(conn, team, project)
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[team, project] = (time.monotonic() + _FRESH, found)
        return found


async def info(exchange: Exchange) -> Reply:
    """GET /v1/info: what this is; a key is not needed"""
    checks = await exchange.api.readiness.checks()
    up = checks.get("database") != "failed"
    found = health.Info(
        version=__version__,
        postgres=health.Postgres(
            initialized=checks.get("schema", "ok") != "failed", schema_version=await _schema(exchange)
        ),
        boundaries=health.Boundaries(
            queue_manager=_manager(up=up), generation_worker_manager=_generates(exchange, up=up)
        ),
        queue_lanes=await _lanes(exchange) if up else [],
    )
    return x.json(found)


def _manager(*, up: bool) -> health.Manager:
    return health.Manager(status="active" if up else "errored", reason=None if up else "database")


def _generates(exchange: Exchange, *, up: bool) -> health.Manager:
    if not ops.generates(exchange):
        return health.Manager(status="disabled", reason="generation")
    if "work" not in exchange.api.config.roles:
        return health.Manager(status="disabled", reason="role")
    return _manager(up=up)


async def _lanes(exchange: Exchange) -> list[health.Lane]:
    key = exchange.key
    if key is None or key.team_id is None or "jobs:read" not in key.effective:
        return []
    return await exchange.api.lanes.of(key.team_id, key.project_id)


async def _schema(exchange: Exchange) -> int | None:
    """The number of the last migration; None while the database cannot be asked."""
    try:
        async with exchange.api.db.connection() as conn:
            return await rows.value(await conn.execute(_SCHEMA), int)
    except Error:
        return None
