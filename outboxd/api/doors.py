"""Paths and methods: a door is one path, with an operation for each method that it knows."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from outboxd.api.exchange import Operation, Reply, Stream, of, send_reply
from outboxd.errors import Invalid, Issue, MethodNotAllowed, NotFound

_MOST_PARAMETERS = 100


class Door:
    """Chooses the operation; `inside` are the layers behind the path."""

    def __init__(self, template: str, operations: Mapping[str, Operation], inside: ASGIApp) -> None:
        self._template = template
        self._operations = dict(operations)
        if "GET" in operations:
            self._operations["HEAD"] = operations["GET"]
        self._allow = (*self._operations, "OPTIONS")
        self._inside = inside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = of(scope)
        exchange.template = self._template
        operation = self._operations.get(exchange.method)
        if operation is not None:
            exchange.operation = operation
            await self._inside(scope, receive, send)
        elif exchange.method == "OPTIONS":
            allow = ((b"allow", ", ".join(self._allow).encode()),)
            await send_reply(Reply(204, headers=allow), exchange.method, send)
        else:
            raise MethodNotAllowed(f"{self._template} knows {', '.join(self._allow)}", self._allow)


def route(template: str, operations: Mapping[str, Operation], inside: ASGIApp) -> Route:
    return Route(template, endpoint=Door(template, operations, inside))


async def unknown(scope: Scope, receive: Receive, send: Send) -> None:
    """What no door has."""
    raise NotFound(f"Cannot {scope['method']} {scope['path'][:200]}")


async def handle(scope: Scope, receive: Receive, send: Send) -> None:
    """The innermost layer: runs the handler, its query read."""
    exchange = of(scope)
    if scope["query_string"]:
        exchange.query = _query(scope["query_string"], exchange.operation)
    reply = await exchange.operation.handler(exchange)
    if isinstance(reply, Stream):
        await exchange.api.flows.send(exchange, reply, send)
    else:
        await send_reply(reply, exchange.method, send)


def _query(text: bytes, operation: Operation) -> dict[str, str]:
    """Of a repeated parameter the last. Those nobody knows are refused, or passed over by old routes."""
    try:
        given = dict(
            parse_qsl(text.decode(), keep_blank_values=True, max_num_fields=_MOST_PARAMETERS, errors="strict")
        )
    except (UnicodeDecodeError, ValueError):
        raise Invalid("the query is not valid UTF-8, or too long") from None
    for name in given if not operation.tolerant else ():
        if name not in operation.query:
            issue = Issue(
                path=(name[:100],), code="unrecognized_keys", message="Unknown parameter", place="query"
            )
            raise Invalid("Invalid request", (issue,))
    return given
