"""Cross-origin requests: which browsers may call, and what they may see (Fetch, CORS protocol)."""

import re
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from outboxd.api.exchange import Api, Exchange, Header, Reply, of, send_reply
from outboxd.errors import OriginNotAllowed

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_NEVER = frozenset({"/v1/mcp"})
"""Not even to be read from elsewhere: a page would have a model's tools."""
_HEADERS = (
    "Content-Type, Authorization, X-Api-Key, X-Request-Id, X-Requested-With, Idempotency-Key, If-Match, "
    "Last-Event-ID, Mcp-Protocol-Version, traceparent, tracestate"
)
_SHOWN = (
    "X-Request-Id, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, RateLimit, RateLimit-Policy, "
    "Retry-After, Idempotency-Replayed"
)
_PREFLIGHT: tuple[Header, ...] = (
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
    (b"access-control-allow-headers", _HEADERS.encode()),
    (b"access-control-max-age", b"600"),
)
_EXPOSED: Header = (b"access-control-expose-headers", _SHOWN.encode())
_VARY: Header = (b"vary", b"Origin")


class Cors:
    """Requests without `Origin` are not touched. Credentials are never allowed: keys travel in headers."""

    def __init__(self, app: ASGIApp, api: Api) -> None:
        self._app = app
        self._allowed = tuple(map(_pattern, api.config.cors_origins))
        self._own = api.config.public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            exchange = of(scope)
            origin = None if _judges_itself(exchange.path) else exchange.headers.get(b"origin")
            if origin is not None and await self._answered(exchange, origin, send):
                return
        await self._app(scope, receive, send)

    async def _answered(self, exchange: Exchange, origin: bytes, send: Send) -> bool:
        exchange.extra.append(_VARY)
        allowed = self._allows(origin.decode("latin-1"))
        if allowed:
            exchange.extra += ((b"access-control-allow-origin", origin), _EXPOSED)
        if exchange.method == "OPTIONS" and b"access-control-request-method" in exchange.headers:
            exchange.extra.extend(_PREFLIGHT if allowed else ())
            await send_reply(Reply(204, headers=()), exchange.method, send)
            return True
        if not allowed and (exchange.method not in _SAFE or exchange.path in _NEVER):
            raise OriginNotAllowed("requests from this origin are not allowed")
        return False

    def _allows(self, origin: str) -> bool:
        return origin == self._own or any(pattern.fullmatch(origin) for pattern in self._allowed)


def _judges_itself(path: str) -> bool:
    """The console is for its own pages alone, wherever they are served from: it compares with its host."""
    return path == "/console" or path.startswith("/console/")


def _pattern(allowed: str) -> re.Pattern[str]:
    """An origin, or `scheme://host:*` for any port."""
    if not allowed.endswith(":*"):
        return re.compile(re.escape(allowed))
    split = urlsplit(allowed.removesuffix(":*"))
    return re.compile(re.escape(f"{split.scheme}://{split.netloc}") + r"(?::[0-9]{1,5})?")
