"""What the process says of itself: probes, metrics, who am I."""

import time
from uuid import UUID

from outboxd import __version__, telemetry
from outboxd.api import exchange as x
from outboxd.api.exchange import Exchange, Reply
from outboxd.errors import InsufficientScope, Unauthorized
from outboxd.model import health
from outboxd.store import keys, tenants

_HTML = ((b"content-type", b"text/html; charset=utf-8"),)
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>outboxd</title>
<h1>outboxd {version}</h1>
<p>A transactional outbox daemon. Events go in at <code>POST /v1/events</code>; its health is at
<a href="/readyz">/readyz</a>, its figures at <code>/metrics</code>, what it understands at
<a href="/openapi.json">/openapi.json</a>.</p>
{console}</html>
"""
_CONSOLE = '<p><a href="/console">Open the console</a></p>\n'


async def front(exchange: Exchange) -> Reply:
    """GET /: a page for whoever looks with a browser"""
    console = _CONSOLE if exchange.api.config.console else ""
    return Reply(200, _PAGE.format(version=__version__, console=console).encode(), _HTML)


async def livez(exchange: Exchange) -> Reply:
    """GET /livez: the event loop answers; nothing else is asked"""
    return x.json(health.Alive())


async def readyz(exchange: Exchange) -> Reply:
    """GET /readyz: whether requests should come here"""
    status, checks = await _checked(exchange)
    found = health.Readiness(status=status, checks=checks)
    return x.json(found, 503 if status == "unready" else 200)


async def healthz(exchange: Exchange) -> Reply:
    """GET /healthz: as older clients ask it"""
    return x.json(health.Healthy())


async def api_readiness(exchange: Exchange) -> Reply:
    """GET /api/readiness: as older clients ask it"""
    status, _ = await _checked(exchange)
    if status == "unready":
        return x.json(health.Starting(message="not ready yet"), 503)
    return x.json(health.Ready())


async def api_health(exchange: Exchange) -> Reply:
    """GET /api/health: the shape that older clients read"""
    status, checks = await _checked(exchange)
    broken = checks.get("database") == "failed"
    found = health.Health(
        status="ok" if status == "ready" else "error" if broken else "degraded",
        version=__version__,
        initialized=status != "unready",
        mcp_ready=status != "unready",
        uptime=round(time.monotonic() - exchange.api.started, 3),
        ai=health.Ai(provider="enabled" if generates(exchange) else "disabled"),
        dependencies=health.Dependencies(degraded=status != "ready", statuses=checks),
    )
    return x.json(found, 503 if broken else 200)


async def version(exchange: Exchange) -> Reply:
    """GET /api/version: as older clients ask it"""
    return x.json(health.Version(version=__version__))


async def me(exchange: Exchange) -> Reply:
    """GET /v1/me: the key that asks, never its secret"""
    assert exchange.key is not None  # noqa: S101 - the auth layer let nobody else in
    caller = exchange.caller
    async with exchange.api.db.connection() as conn:
        key = await keys.own(conn, exchange.key_id)
        team, project = await tenants.names(conn, caller.team_id, exchange.key.project_id)
    return x.json(
        health.Me(
            key=key,
            effective_scopes=sorted(exchange.key.effective),
            team=_named(caller.team_id, team),
            project=_named(exchange.key.project_id, project),
        )
    )


async def metrics(exchange: Exchange) -> Reply:
    """GET /metrics: for Prometheus"""
    if not exchange.api.config.metrics_open:
        if exchange.key is None:
            raise Unauthorized("an API key is required")
        if "admin" not in exchange.key.effective:
            raise InsufficientScope("Invalid API key or insufficient scope", ("admin",))
    await exchange.api.readiness.checks()
    await exchange.api.refresh()
    return Reply(200, telemetry.render(), ((b"content-type", telemetry.CONTENT_TYPE.encode()),))


def generates(exchange: Exchange) -> bool:
    """Whether events are observed where a project does not say otherwise."""
    return exchange.api.config.generation != "off"


async def _checked(exchange: Exchange) -> tuple[health.State, dict[str, str]]:
    checks = await exchange.api.readiness.checks()
    if exchange.api.ingest.full:
        checks = {**checks, "ingest": "failed"}
    if exchange.api.readiness.draining or "failed" in checks.values():
        return "unready", checks
    return ("degraded" if "degraded" in checks.values() else "ready"), checks


def _named(id: UUID | None, name: str | None) -> health.Named | None:  # noqa: A002 - the field is called so
    return None if id is None else health.Named(id=id, name=name)
