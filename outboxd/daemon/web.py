"""Addresses to listen on, and what is told without a key on a listener of its own."""

import errno
import socket
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from outboxd import telemetry
from outboxd.api.exchange import Readiness
from outboxd.errors import InUse

_BACKLOG = 2048


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises InUse when somebody else has the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        # asyncio does this for sockets that say they are TCP, and those that are accepted here do not: each
        # reply in two writes would wait 40 ms for the client's acknowledgement of the first.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as failed:
        if failed.errno in {errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES}:
            raise InUse(f"{host}:{port} cannot be listened on: {failed.strerror}") from failed
        raise
    return made


def operations(readiness: Readiness, refresh: Callable[[], Any]) -> Starlette:
    """/metrics, /livez and /readyz without a key, for a listener of their own."""

    async def livez(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(request: Request) -> Response:
        checks = await readiness.checks()
        unready = "failed" in checks.values()
        status = "unready" if unready else "degraded" if "degraded" in checks.values() else "ready"
        return JSONResponse({"status": status, "checks": checks}, 503 if unready else 200)

    async def metrics(request: Request) -> Response:
        await readiness.checks()
        await refresh()
        return Response(telemetry.render(), media_type=telemetry.CONTENT_TYPE)

    routes = [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]
    return Starlette(routes=routes)
