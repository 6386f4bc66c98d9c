"""Where a request comes from: the peer, unless the peer is a proxy that is trusted to say."""

from ipaddress import IPv4Address, IPv6Address, ip_address

from outboxd.api.exchange import Exchange


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
