"""A standby that had not got everything is promoted: who is told, and no position means two events."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row

from outboxd.db.embedded import Embedded
from tests import seed
from tests.proofs import proves
from tests.streams import pods, servers
from tests.streams.pods import Pod, seq


class Seen:
    """What one client has seen, on whatever server: its positions in order, and what each of them means."""

    def __init__(self) -> None:
        self.events: dict[str, str] = {}

    async def all_of(self, pod: Pod, tenant: seed.Tenant) -> list[str]:
        """Reads the feed from its beginning; the positions it has there."""
        page = await pod.feed(tenant, after="earliest", limit=500)
        for each in page["events"]:
            before = self.events.setdefault(each["position"], each["id"])
            assert before == each["id"], f"{each['position']} means two events"
        return [each["position"] for each in page["events"]]


@pytest.fixture
def three() -> Iterator[list[Embedded]]:
    """A primary and two standbys."""
    with ExitStack() as stack:
        first = stack.enter_context(servers.primary())
        yield [first, *(stack.enter_context(servers.standby_of(first)) for _ in range(2))]


@proves("F6")
@pytest.mark.slow
async def test_after_lossy_failovers_a_client_goes_on_exactly_or_is_told_that_it_is_ahead(
    three: list[Embedded],
) -> None:
    """Twice: the second standby follows the promoted one, and loses the end of that one's history too."""
    first, second, third = three
    seen = Seen()
    async with pods.pod(first.dsn(), sequences=False, listens=False) as pod:
        tenant = await begin(first)
        await numbered(first, tenant, 5)
        for standby in (second, third):
            await servers.caught_up(standby, first)
        await servers.cut(second)
        await servers.cut(third)
        await numbered(first, tenant, 4, first=100)
        old = await seen.all_of(pod, tenant)
    first.crash()
    servers.promote(second)
    follow(third, second)
    async with pods.pod(second.dsn(), sequences=False, listens=False) as pod:
        await check(pod, tenant, old, survived=5, head=5)
        await numbered(second, tenant, 6, first=200)
        await check(pod, tenant, old, survived=5, head=11)
        await servers.caught_up(third, second)
        await servers.cut(third)
        await numbered(second, tenant, 3, first=300)
        newer = await seen.all_of(pod, tenant)
        assert 14 == len(newer)
        assert newer[0][:8] != old[0][:8]
    second.crash()
    servers.promote(third)
    async with pods.pod(third.dsn(), sequences=False, listens=False) as pod:
        await check(pod, tenant, old, survived=5, head=11)
        await check(pod, tenant, newer, survived=11, head=11)
        await numbered(third, tenant, 7, first=400)
        await check(pod, tenant, old, survived=5, head=18)
        await check(pod, tenant, newer, survived=11, head=18)
        await seen.all_of(pod, tenant)
        await by_stream(pod, tenant, newer)
    assert 3 == len({position[:8] for position in seen.events})


@proves("F6")
@pytest.mark.slow
async def test_positions_of_a_promoted_server_mean_nothing_on_a_sibling_that_is_promoted_later(
    three: list[Embedded],
) -> None:
    """Both run on timeline 2 of one system: the second never heard of what the first gave out."""
    first, second, third = three
    seen = Seen()
    tenant = await begin(first)
    await numbered(first, tenant, 3)
    await servers.caught_up(third, first)
    await servers.cut(third)
    await numbered(first, tenant, 3, first=50)
    await servers.caught_up(second, first)
    first.crash()
    servers.promote(second)
    async with pods.pod(second.dsn(), sequences=False, listens=False) as pod:
        old = await seen.all_of(pod, tenant)
        await numbered(second, tenant, 2, first=100)
        lost = (await seen.all_of(pod, tenant))[6:]
    second.crash()
    servers.promote(third)
    assert 2 == int(servers.ask(third, "select split_part(outbox.cluster(), '/', 2)"))
    async with pods.pod(third.dsn(), sequences=False, listens=False) as pod:
        for head in (3, 13):
            await check(pod, tenant, old, survived=3, head=head)
            for position in lost:
                assert "epoch" == (await pod.feed(tenant, after=position))["reset"]["reason"]
            await numbered(third, tenant, 10, first=200)
        await seen.all_of(pod, tenant)


async def begin(server: Embedded) -> seed.Tenant:
    async with await AsyncConnection.connect(server.dsn(), autocommit=True, row_factory=dict_row) as conn:
        return await seed.tenant(conn)


async def numbered(server: Embedded, tenant: seed.Tenant, count: int, first: int = 0) -> None:
    """That many events more, with numbers."""
    async with await AsyncConnection.connect(server.dsn(), autocommit=True, row_factory=dict_row) as conn:
        await pods.publish(conn, tenant.project, count, first=first)
        await pods.sequence(conn, tenant.project)


def follow(standby: Embedded, server: Embedded) -> None:
    """From now on the standby gets what that server writes."""
    to = sql.SQL("alter system set primary_conninfo = {}").format(server.dsn("postgres"))
    servers.ask(standby, to.as_string(), answers=False)
    servers.ask(standby, "select pg_reload_conf()")


async def check(pod: Pod, tenant: seed.Tenant, given: list[str], *, survived: int, head: int) -> None:
    """Up to `survived` each position leads to the next number; those beyond are told, and begin anew."""
    for position in given:
        page: Any = await pod.feed(tenant, after=position, limit=500)
        told = page.get("reset", {}).get("reason")
        exact = seq(position) <= survived
        assert (None if exact else "ahead") == told, position
        after = seq(position) if exact else 0
        assert list(range(after + 1, head + 1)) == [seq(each["position"]) for each in page["events"]]
        assert head == page["head"]


async def by_stream(pod: Pod, tenant: seed.Tenant, given: list[str]) -> None:
    """The same for the last that survived and the first that did not, as a browser comes again."""
    async with pod.stream(tenant, last_event_id=given[10]) as stream:
        assert list(range(12, 19)) == await pods.taken(stream, 7)
    async with pod.stream(tenant, last_event_id=given[11]) as stream:
        told = await stream.message()
        assert ("outboxd.reset", None, "ahead") == (told.event, told.id, told.json["reason"])
        assert list(range(1, 19)) == await pods.taken(stream, 18)
