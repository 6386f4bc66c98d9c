"""Which addresses may be dialled.

The lists are ours: what Python's `ipaddress` calls private or global disagrees with them in both
directions and changes between versions.
"""

import ipaddress
import socket
from collections.abc import Callable

import msgspec

from outboxd.config.kinds import Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_DENIED_4 = (
    "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 "
    "192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 "
    "255.255.255.255/32 168.63.129.16/32"
)
_DENIED_6 = (
    "::/96 ::1/128 64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/23 2001:db8::/32 2002::/16 3fff::/20 "
    "5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8"
)
_DENIED = tuple(ipaddress.ip_network(text) for text in f"{_DENIED_4} {_DENIED_6}".split())


def is_own(address: Address) -> bool:
    """Whether this host would answer: the kernel reaches its own addresses from themselves.

    Nothing is sent; a datagram socket is connected and asked where it would send from.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return ipaddress.ip_address(probe.getsockname()[0].partition("%")[0]) == address
    except OSError:
        # No way there at all, so it is not ours either.
        return False


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """What one kind of call may reach."""

    ports: tuple[int, ...] | None
    """None: any."""
    allow: tuple[Network, ...] = ()
    """Exempt from the list of denied addresses and from `ports`."""
    only_allowed: bool = False
    """Whether nothing but `allow` may be reached (plain http, where it is off)."""
    own: Callable[[Address], bool] = is_own

    def objection(self, text: str, port: int) -> str | None:
        """Why `text`, an address that a name resolved to, must not be dialled; None if it may."""
        if "%" in text:
            return "an address with a zone"
        address = _judged(text)
        if any(address in network for network in self.allow):
            return None
        if any(address in network for network in _DENIED):
            return "a private or reserved address"
        if self.own(address):
            return "an address of this host"
        if self.only_allowed:
            return "plain http"
        return None if self.ports is None or port in self.ports else f"port {port}"


def _judged(text: str) -> Address:
    address = ipaddress.ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address
