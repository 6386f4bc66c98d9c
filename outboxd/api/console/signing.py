"""Signing in and out. A key is posted once; from then on a cookie of 256 random bits stands for the session.

The login form has a token too, before there is any session: half in a cookie, half in the form, bound by a
hash, so that no other site can sign a browser in, and no pod has to remember it. A key is taken over TLS, or
over plain http from this very machine, and nowhere else.
"""

import hashlib
import hmac
import re
import secrets
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from outboxd.api import auth
from outboxd.api.clients import address
from outboxd.api.console import render
from outboxd.api.exchange import Exchange, Header, Reply
from outboxd.db.link import Link
from outboxd.errors import Forbidden
from outboxd.store import consoles, keys
from outboxd.store.callers import ByKey
from outboxd.store.consoles import Session

COOKIE = "outboxd_console"
_FORM_COOKIE = "outboxd_console_form"
_LONGEST = 512
_NEXT = re.compile(r"/console(?:/[A-Za-z0-9._~:%/-]*)?(?:\?[A-Za-z0-9._~:%/=&+*-]*)?")
_FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-forwarded-proto")
REFUSED = "That key cannot sign in here. It takes a live key with the scope admin."
PLAIN = (
    "This page came over plain http from another machine, so no key is taken here: it could be read on "
    "its way. Use https (behind a proxy set OUTBOXD_PUBLIC_URL to its https address), or a tunnel to "
    "127.0.0.1."
)


def form(
    exchange: Exchange, status: int = 200, *, said: str | None = None, after: str | None = None
) -> Reply:
    """The login form; where a key would be readable on its way, a sentence in its place."""
    token = secrets.token_urlsafe(16)
    cookie = _cookie(exchange, _FORM_COOKIE, token, 3600)
    return render.page(
        "login.html",
        status,
        (cookie,),
        token=_bound(token),
        said=said,
        after=after if after and _NEXT.fullmatch(after) else "/console",
        plain=None if _guarded(exchange) else PLAIN,
    )


async def enter(exchange: Exchange, given: dict[str, str]) -> Reply:
    """Opens a session for the key that was posted, or shows the form again and says that it does not."""
    if not _guarded(exchange):
        return form(exchange, 403)
    sent = cookies(exchange).get(_FORM_COOKIE, "")
    if not hmac.compare_digest(_bound(sent).encode(), given.get("token", "").encode()):
        return form(exchange, 403, said="The form was too old. Please try again.", after=given.get("next"))
    secret = given.get("key", "").strip().encode()
    opened = await _opened(exchange, secret)
    if opened is None:
        return form(exchange, 403, said=REFUSED, after=given.get("next"))
    after = given.get("next", "")
    target = after if _NEXT.fullmatch(after) else "/console"
    headers = (
        (b"location", target.encode()),
        _cookie(exchange, COOKIE, opened, 8 * 3600),
        _cookie(exchange, _FORM_COOKIE, "", 0),
    )
    return Reply(303, b"", headers)


async def leave(exchange: Exchange, session: Session, by: ByKey) -> Reply:
    """Ends the session, here and everywhere."""

    async def close(conn: Link) -> bool:
        await consoles.via(conn)
        return await consoles.close(conn, by, session.hash)

    await exchange.api.db.run(close)
    headers = ((b"location", b"/console"), _cookie(exchange, COOKIE, "", 0))
    return Reply(303, b"", headers)


async def session(exchange: Exchange, *, touch: bool) -> Session | None:
    """Who is signed in, judged anew by every request."""
    sent = cookies(exchange).get(COOKIE, "")
    if not sent or len(sent) > _LONGEST:
        return None
    async with exchange.api.db.connection() as conn:
        found = await consoles.find(conn, keys.digest(sent.encode()))
        if found is not None and found.worn and touch:
            await consoles.touch(conn, found.hash)
    return found


def same_origin(exchange: Exchange) -> bool:
    """Does a page of ours ask? What a browser says of that it has to say rightly; a client that is none
    says nothing."""
    site = exchange.headers.get(b"sec-fetch-site")
    if site is not None and site != b"same-origin":
        return False
    origin = exchange.headers.get(b"origin")
    if origin is None:
        return True
    said = urlsplit(origin.decode("latin-1"))
    return bool(said.netloc) and said.netloc.encode("latin-1") == exchange.headers.get(b"host")


def cookies(exchange: Exchange) -> dict[str, str]:
    """Those of the request, the first of each name; values of ours need no quotes."""
    found: dict[str, str] = {}
    for part in exchange.headers.get(b"cookie", b"").decode("latin-1").split(";"):
        name, _, value = part.strip().partition("=")
        found.setdefault(name, value)
    return found


async def _opened(exchange: Exchange, secret: bytes) -> str | None:
    """The session's secret; None, and counted, for a key that does not live or does not open `admin`."""
    found = None
    if secret and len(secret) <= _LONGEST:
        async with exchange.api.db.connection() as conn:
            found = await keys.find(conn, keys.digest(secret))
    if found is not None and found.live and consoles.SCOPE in found.effective:
        by = ByKey(actor=found.actor, key_id=found.id, scope=consoles.SCOPE, request_id=exchange.request_id)

        async def begin(conn: Link) -> str:
            await consoles.via(conn)
            return await consoles.open_one(conn, by)

        try:
            return await exchange.api.db.run(begin)
        except Forbidden:
            pass  # it was revoked a moment ago
    await auth.denied(exchange, found)
    return None


def _guarded(exchange: Exchange) -> bool:
    """Can nobody on the way read what is posted?"""
    if _encrypted(exchange):
        return True
    if any(name in exchange.headers for name in _FORWARDED):
        return False
    host = urlsplit(f"//{exchange.headers.get(b'host', b'').decode('latin-1')}").hostname or ""
    return _loopback(address(exchange)) and (host == "localhost" or _loopback(host))


def _encrypted(exchange: Exchange) -> bool:
    public = exchange.api.config.public_url
    if public is not None and public.startswith("https://"):
        return True
    peer = exchange.scope.get("client")
    trusted = exchange.api.config.trusted_proxies
    if peer and trusted and any(_address(str(peer[0])) in network for network in trusted):
        return exchange.headers.get(b"x-forwarded-proto", b"").strip() == b"https"
    return bool(exchange.scope["scheme"] == "https")


def _cookie(exchange: Exchange, name: str, value: str, seconds: int) -> Header:
    secure = "; Secure" if _encrypted(exchange) else ""
    said = f"{name}={value}; Path=/console; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
    return (b"set-cookie", said.encode())


def _bound(token: str) -> str:
    return hashlib.sha256(f"outboxd console form {token}".encode()).hexdigest()


def _loopback(text: str) -> bool:
    found = _address(text)
    return found is not None and found.is_loopback


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
