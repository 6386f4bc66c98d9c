"""Who asks, and whether they may: on the headers alone, before a byte of the body is read."""

import time
from collections import OrderedDict
from urllib.parse import parse_qsl

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from outboxd.api.clients import address
from outboxd.api.exchange import Exchange, Operation, of
from outboxd.errors import Error, Forbidden, InsufficientScope, RateLimited, Unauthorized
from outboxd.model import Caller
from outboxd.store import audit, keys, stream_tokens
from outboxd.store.keys import Found

log = structlog.get_logger()

_REFUSED = "Invalid API key or insufficient scope"
_SIBLING = "API key is scoped to a different project"
_LONGEST = 512
_REFUSALS = 60
_MINUTE = 60.0
_ADDRESSES = 10_000
_NO_STORE = (b"cache-control", b"no-store")


class Refusals:
    """Refused credentials by address. Weakness: of this process, so n processes refuse n times as many."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def count(self, client: str) -> int:
        """How many this address has had in its minute, this one included. Raises RateLimited."""
        now = time.monotonic()
        since, count = self._known.pop(client, (now, 0))
        if now - since >= _MINUTE:
            since, count = now, 0
        while len(self._known) >= _ADDRESSES:
            self._known.popitem(last=False)
        self._known[client] = (since, count + 1)
        if count >= _REFUSALS:
            raise RateLimited("too many refused credentials from this address")
        return count + 1


class Keys:
    """The auth layer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = of(scope)
        operation = exchange.operation
        if operation.auth != "none":
            secret, token = _secret(exchange), _token(exchange)
            if token is not None:
                await self._admit_token(exchange, token)
            elif secret:
                await self._admit(exchange, secret)
            elif operation.auth == "key":
                raise Unauthorized("an API key is required")
        await self._app(scope, receive, send)

    async def _admit(self, exchange: Exchange, secret: bytes) -> None:
        found = await exchange.api.keys.find(keys.digest(secret)) if len(secret) <= _LONGEST else None
        if found is None or not found.live:
            await self._refuse(exchange, found)
        else:
            exchange.key = found
            exchange.caller = caller(found, exchange.request_id)
            exchange.extra.append(_NO_STORE)

    async def _admit_token(self, exchange: Exchange, secret: bytes) -> None:
        """It stands for the key that made it, and narrows what is asked."""
        found = None
        if secret.startswith(stream_tokens.PREFIX.encode()) and len(secret) <= _LONGEST:
            async with exchange.api.db.connection() as conn:
                found = await stream_tokens.find(conn, keys.digest(secret))
        if found is None or not found.key.live:
            await self._refuse(exchange, found.key if found else None)
        else:
            exchange.key, exchange.token = found.key, found
            exchange.caller = caller(found.key, exchange.request_id)
            exchange.extra.append(_NO_STORE)

    async def _refuse(self, exchange: Exchange, found: Found | None) -> None:
        """The same bytes for an unknown, a revoked and an expired key."""
        await denied(exchange, found)
        raise Forbidden(_REFUSED)


class Scopes:
    """The layer that asks whether the key opens this route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = of(scope)
        key, operation = exchange.key, exchange.operation
        try:
            if key is not None and operation.auth == "key":
                _check(key, operation)
            await self._app(scope, receive, send)
        except Error as refused:
            if refused.status == 403 and key is not None:
                await note(exchange, "access.denied", 403, refused.code, key)
            raise


def _check(key: Found, operation: Operation) -> None:
    operator = key.team_id is None
    free = not operation.scopes or (operator and operation.operators)
    if not free and key.effective.isdisjoint(operation.scopes):
        raise InsufficientScope(_REFUSED, operation.scopes)
    if operator and not operation.teamless:
        raise Forbidden("API key is not bound to a team")
    if operation.holder == "operator" and not operator:
        raise Forbidden("only an operator key opens this")
    if operation.holder == "team" and key.project_id is not None:
        raise Forbidden(_SIBLING)


async def denied(exchange: Exchange, found: Found | None) -> None:
    """Counts a refused credential and tells of it; `found`: whose it is. Raises RateLimited."""
    count = exchange.api.refusals.count(address(exchange))
    if found is not None or count == 1:
        await note(exchange, "auth.denied", 403, "Forbidden", found)


async def note(exchange: Exchange, action: str, status: int, code: str, key: Found | None) -> None:
    """A row of the audit trail about a refusal; that it cannot be written does not make it a 500."""
    by = caller(key, exchange.request_id) if key else exchange.caller
    wanted = list(exchange.operation.scopes) if code == "InsufficientScope" else None
    details = {"status": status, "code": code, "requiredScopes": wanted}
    resource = f"{exchange.method} {exchange.template}"
    try:
        async with exchange.api.db.connection() as conn:
            project = key.project_id if key else None
            await audit.record(conn, by, action, "route", resource, project=project, details=details)
    except Error as failed:
        log.warning("refusal not in the audit trail", code=failed.code)


def _secret(exchange: Exchange) -> bytes:
    """Of `Authorization: Bearer`, which wins, or `X-Api-Key`; empty when there is none."""
    scheme, _, token = exchange.headers.get(b"authorization", b"").strip().partition(b" ")
    if scheme.lower() == b"bearer" and token.strip():
        return token.strip()
    return exchange.headers.get(b"x-api-key", b"").strip()


def _token(exchange: Exchange) -> bytes | None:
    """It wins over a header, since it opens less."""
    query = exchange.scope["query_string"]
    if not exchange.operation.takes_token or b"token=" not in query:
        return None
    return dict(parse_qsl(query, keep_blank_values=True)).get(b"token")


def caller(key: Found, request_id: str) -> Caller:
    """Whoever holds the key."""
    return Caller(
        team_id=key.team_id,
        project_ids=None if key.project_id is None else (key.project_id,),
        key_id=key.id,
        actor=key.actor,
        request_id=request_id,
        scopes=key.scopes,
    )
