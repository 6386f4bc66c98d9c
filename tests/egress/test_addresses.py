import ipaddress
import socket

import pytest

from outboxd.egress.addresses import Guard, is_own

PUBLIC = Guard(ports=(80, 443), own=lambda _: False)

DENIED = """
  0.0.0.0 0.255.255.255 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.255 169.254.169.254
  172.16.0.1 172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255
  198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 168.63.129.16
  :: ::1 ::127.0.0.1 ::7f00:1 64:ff9b::7f00:1 64:ff9b:1::1 100::1 2001::1 2001:1ff::1 2001:db8::1
  2002:7f00:1:: 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1
  ::ffff:7f00:1
"""
PERMITTED = """
  1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255
  169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0
  223.255.255.255 168.63.129.15 168.63.129.17 2600::1 2001:200::1 2003::1 3ffe::1 4000::1
  ::ffff:1.1.1.1
"""


@pytest.mark.parametrize("address", DENIED.split())
def test_a_private_or_reserved_address_is_denied(address: str) -> None:
    assert PUBLIC.objection(address, 443) == "a private or reserved address"


@pytest.mark.parametrize("address", PERMITTED.split())
def test_its_neighbours_are_not(address: str) -> None:
    assert PUBLIC.objection(address, 443) is None


def test_an_address_with_a_zone_is_denied() -> None:
    assert PUBLIC.objection("2600::1%eth0", 443) == "an address with a zone"


def test_only_the_named_ports_may_be_called() -> None:
    anything = Guard(ports=None, own=lambda _: False)
    assert PUBLIC.objection("1.1.1.1", 25) == "port 25"
    assert PUBLIC.objection("1.1.1.1", 80) is None
    assert anything.objection("1.1.1.1", 25) is None


def test_what_is_allowed_is_exempt_from_list_and_ports_and_nothing_else_is() -> None:
    guard = Guard(ports=(443,), allow=(ipaddress.ip_network("10.1.0.0/16"),), own=lambda _: False)
    assert guard.objection("10.1.2.3", 8080) is None
    assert guard.objection("::ffff:10.1.2.3", 8080) is None
    assert guard.objection("10.2.0.1", 443) == "a private or reserved address"


def test_where_plain_http_is_off_only_what_is_allowed_may_be_reached() -> None:
    guard = Guard(
        ports=None, allow=(ipaddress.ip_network("10.1.0.0/16"),), only_allowed=True, own=lambda _: False
    )
    assert guard.objection("10.1.2.3", 80) is None
    assert guard.objection("1.1.1.1", 80) == "plain http"


def test_an_address_of_this_host_is_denied() -> None:
    guard = Guard(ports=None, own=lambda address: str(address) == "1.1.1.1")
    assert guard.objection("1.1.1.1", 443) == "an address of this host"
    assert guard.objection("::ffff:1.1.1.1", 443) == "an address of this host"
    assert guard.objection("1.1.1.2", 443) is None


def test_this_host_knows_its_own_addresses() -> None:
    assert is_own(ipaddress.ip_address("127.0.0.1"))
    assert not is_own(ipaddress.ip_address("192.0.2.77"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.77", 9))
        except OSError:
            pytest.skip("no interface but loopback")
        assert is_own(ipaddress.ip_address(probe.getsockname()[0]))
