"""Where a request comes from: the peer, unless the peer is a proxy that is trusted to say."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

from outboxd.api.exchange import Exchange

# It goes into a command that people paste into a shell.
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?|\[[0-9a-fA-F:.]{2,45}\](:[0-9]{1,5})?")


def address(exchange: Exchange) -> str:
    """The socket's peer, or behind trusted proxies the rightmost address that is not one of them."""
    peer = exchange.scope.get("client")
    here = str(peer[0]) if peer else ""
    trusted = exchange.api.config.trusted_proxies
    if not trusted or not _within(here, trusted):
        return here
    for hop in reversed(_hops(exchange)):
        if not _within(hop, trusted):
            return hop
    return here


def origin(exchange: Exchange) -> str:
    """Where the client thinks that we are: OUTBOXD_PUBLIC_URL, else scheme and host of its request."""
    config, headers = exchange.api.config, exchange.headers
    if config.public_url is not None:
        return config.public_url.rstrip("/")
    peer = exchange.scope.get("client")
    said = headers.get(b"x-forwarded-proto", b"").strip().decode("latin-1")
    trusted = _within(str(peer[0]) if peer else "", config.trusted_proxies)
    scheme = said if trusted and said in {"http", "https"} else exchange.scope["scheme"]
    host = headers.get(b"host", b"").decode("latin-1")
    return f"{scheme}://{host if _HOST.fullmatch(host) else f'{config.host}:{config.port}'}"


def _hops(exchange: Exchange) -> list[str]:
    """Every X-Forwarded-For in order: a proxy may add a header instead of an entry."""
    said = [value for name, value in exchange.scope["headers"] if name == b"x-forwarded-for"]
    return [hop.strip().decode("latin-1") for line in said for hop in line.split(b",") if hop.strip()]


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _within(text: str, networks: tuple[object, ...]) -> bool:
    found = _parsed(text)
    return found is not None and any(found in network for network in networks)  # type: ignore[operator]
