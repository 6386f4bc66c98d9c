"""Limits and meters over real processes: shared by all, and nothing is lost by one that ends in order."""

import signal

import httpx2

from outboxd.store import keys
from tests.daemon.daemons import Daemon, Place
from tests.proofs import proves

SECRET = "obx_limits"


def asked(daemon: Daemon, times: int) -> list[int]:
    with httpx2.Client(headers={"authorization": f"Bearer {SECRET}"}) as client:
        return [client.get(f"http://127.0.0.1:{daemon.port}/v1/me").status_code for _ in range(times)]


@proves("I6")
def test_two_processes_share_one_limit_and_what_both_metered_is_there_when_they_have_ended(
    place: Place,
) -> None:
    project = place.project()
    place.value(
        "select id from outbox.mint_key(outbox.me(), %s, 'obx_limi',"
        " (select team_id from outbox.projects where id = %s), %s, '{admin}')",
        keys.digest(SECRET.encode()), project, project,
    )  # fmt: skip
    one, two = (place.serve(RATE_LIMIT_PER_MIN="10").ready() for _ in range(2))
    # A window that is about to end would make two of them.
    place.until("select extract(second from clock_timestamp()) < 50", limit=15)
    found = asked(one, 15) + asked(two, 15)
    for daemon in (one, two):
        daemon.signal(signal.SIGTERM)
    ended = [daemon.gone(15) for daemon in (one, two)]

    assert (10, 20) == (found.count(200), found.count(429))
    assert [0, 0] == ended
    assert 10 == place.value("select sum(requests)::int from outbox.usage_requests")
    assert 20 == place.value("select sum(refused)::int from outbox.usage_requests")
