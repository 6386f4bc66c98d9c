"""GET /openapi.json: what every route asks and answers, made from the table that serves them.

Nothing is said twice: paths, scopes and layers come from `ROUTES`, shapes from the structs that
decode bodies and encode replies. What handlers judge by themselves (limits of a page, times) is
told by `parameters`, and a test walks the routes to see that all of it is true.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from outboxd import __version__
from outboxd.api import described
from outboxd.api.described import Shapes
from outboxd.api.exchange import Exchange, Header, Operation, Reply

_HEADERS: tuple[Header, ...] = (
    (b"content-type", b"application/json; charset=utf-8"),
    (b"cache-control", b"max-age=300"),
)
_ABOUT = (
    "A transactional outbox daemon that needs nothing but Postgres, and the memory of coding agents that is "
    "built on it. Times are milliseconds since 1970 UTC in fields named `…Epoch`; ids are opaque. Every "
    "reply has `X-Request-Id`; every error is a problem document (RFC 9457)."
)


class Document(msgspec.Struct, frozen=True):
    body: bytes
    etag: bytes


async def show(exchange: Exchange) -> Reply:
    """GET /openapi.json: this document"""
    document = _encoded()
    headers = (*_HEADERS, (b"etag", document.etag))
    if _known(exchange.headers.get(b"if-none-match", b""), document.etag):
        return Reply(304, headers=headers[1:])
    return Reply(200, document.body, headers)


def build(routes: Mapping[str, Mapping[str, Operation]]) -> dict[str, Any]:
    """An OpenAPI 3.1 document. Raises KeyError for a query parameter that has no type."""
    shapes = Shapes(routes)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "outboxd",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": {template: _path(template, operations, shapes) for template, operations in routes.items()},
        "components": {
            "schemas": shapes.components,
            "headers": described.HEADERS,
            "responses": described.problems(routes, shapes),
            "securitySchemes": described.SCHEMES,
        },
    }


def _path(template: str, operations: Mapping[str, Operation], shapes: Shapes) -> dict[str, Any]:
    return {
        method.lower(): described.operation(template, method, each, shapes)
        for method, each in operations.items()
    }


@cache
def _encoded() -> Document:
    """Made when somebody asks for the first time: a start is quick, and most processes are never asked."""
    from outboxd.api.routes import ROUTES  # the table names this module's handler

    body = msgspec.json.encode(build(ROUTES))
    return Document(body, b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode())


def _known(given: bytes, etag: bytes) -> bool:
    tags = {tag.strip().removeprefix(b"W/") for tag in given.split(b",")}
    return b"*" in tags or etag in tags
