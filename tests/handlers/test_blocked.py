"""What must not be dialled: each way to say loopback or a private address, at the door and when it is sent.

Servers listen where the forbidden addresses lead. The judge is their count of connections.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from outboxd.egress import Egress, dialling
from outboxd.errors import Blocked
from outboxd.handlers import deliver
from tests.egress.scripted import Server, serving
from tests.handlers import desk
from tests.handlers.desk import Desk, Target, says
from tests.loops.crew import Crew
from tests.proofs import proves

ANYWHERE = {"EGRESS_HTTP": "1", "EGRESS_PORTS": "any", "EGRESS_ALLOW": "127.0.0.1/32"}
VECTORS = (
    "2130706433", "0x7f.1", "0x7f000001", "017700000001", "127.1", "127.0.0.1", "0", "0.0.0.0",
    "localhost", "LOCALHOST", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]",
    "[::127.0.0.1]", "[0:0:0:0:0:ffff:127.0.0.1]", "169.254.169.254", "[fd00:ec2::254]", "[2002:7f00:1::]",
    "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "168.63.129.16", "[fe80::1]", "[ff02::1]",
)  # fmt: skip
NAMES: dict[str, Sequence[str]] = {
    "one.test": ["127.0.0.2"],
    "mapped.test": ["::ffff:127.0.0.2"],
    "good-and-bad.test": ["93.184.216.34", "127.0.0.2"],
    "bad-and-good.test": ["127.0.0.2", "93.184.216.34"],
    "many.test": [*["93.184.216.34"] * 15, "127.0.0.2"],
    "zone.test": ["fe80::1%eth0"],
    "metadata.test": ["169.254.169.254"],
}


async def known(name: str, port: int) -> Sequence[str]:
    return NAMES[name] if name in NAMES else await dialling.resolve(name, port)


@asynccontextmanager
async def listening(post: Desk) -> AsyncIterator[tuple[Egress, list[Server], int]]:
    """Servers on one port of two loopback addresses and of IPv6, and a door that knows some names."""
    async with serving() as first, Egress.open(post.config, look_up=known) as egress:
        second, third = Server(first.act), Server(first.act)
        two = await asyncio.start_server(second.accept, "127.0.0.2", first.port)
        six = await asyncio.start_server(third.accept, "::1", first.port)
        async with two, six:
            yield egress, [first, second, third], first.port


@pytest.fixture
async def strict(crew: Crew) -> AsyncIterator[Desk]:
    """A project that was not opted in to the allow-list, where http and any port would do."""
    async with desk.opened(crew, **ANYWHERE) as opened:
        await crew.conn.execute("update outbox.projects set egress = false")
        yield opened


@proves("D5")
async def test_a_delivery_to_a_denied_address_is_blocked_for_good_and_never_connects(strict: Desk) -> None:
    async with listening(strict) as (egress, servers, port):
        hosts = [*VECTORS, *NAMES]
        wanted = {}
        for n, host in enumerate(hosts):
            await strict.endpoint(f"http://{host}:{port}/", types=[f"t{n}"])
            (wanted[host],) = await strict.deliveries(await strict.publish(type_=f"t{n}"))
        known_handler = deliver.handler(strict.crew.db, egress, strict.config)
        async with strict.crew.at_work([known_handler]):
            told = {host: await strict.crew.attempt(job) for host, job in wanted.items()}

    assert dict.fromkeys(hosts, ("failed", "blocked")) == {
        host: (each["outcome"], each["class"]) for host, each in told.items()
    }
    assert {None} == {each["retry_at"] for each in told.values()}
    assert [0, 0, 0] == [server.connections for server in servers]


@proves("D5")
async def test_a_denied_address_is_refused_when_it_is_entered(strict: Desk) -> None:
    async with listening(strict) as (egress, servers, port):
        for host in (*VECTORS, *NAMES):
            for scheme in ("http", "https"):
                with pytest.raises(Blocked):
                    await egress.check(f"{scheme}://{host}:{port}/", trusted=False)
    assert [0, 0, 0] == [server.connections for server in servers]


@proves("D5")
async def test_a_name_that_is_bad_only_when_it_is_dialled_is_blocked_then(
    strict: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was good at the door; what counts is what it is when it is dialled, and that is not asked twice."""
    asked: list[str] = []

    async def rebinding(name: str, _: int) -> Sequence[str]:
        asked.append(name)
        return ["93.184.216.34"] if len(asked) == 1 else ["127.0.0.1"]

    async with serving() as server, Egress.open(strict.config, look_up=rebinding) as egress:
        url = f"http://rebinding.test:{server.port}/"
        await egress.check(url, trusted=False)
        await strict.endpoint(url)
        job = await strict.delivery()
        async with strict.crew.at_work([deliver.handler(strict.crew.db, egress, strict.config)]):
            told = await strict.crew.attempt(job)

    assert ("blocked", 0) == (told["class"], server.connections)
    assert ["rebinding.test"] * 2 == asked


@proves("D5")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_loopback_is_not_followed(post: Desk, target: Target, status: int) -> None:
    async with serving() as elsewhere:
        target.answers = [says(status, f"Location: http://127.0.0.1:{elsewhere.port}/")]
        endpoint = await post.endpoint(target.url)
        job = await post.delivery()
        async with post.at_work():
            told = await post.crew.attempt(job)

    assert ("failed", "redirect", status) == (told["outcome"], told["class"], told["status"])
    assert told["retry_at"] - told["at"] > timedelta(seconds=1)
    assert (1, 0) == (len(target.got), elsewhere.connections)
    assert "redirect" == (await post.health(endpoint))["last_class"]


@proves("D5")
async def test_one_tenants_right_to_the_allow_list_is_not_anothers(strict: Desk) -> None:
    async with strict.target() as target:
        await strict.endpoint(target.url)
        first = await strict.delivery()
        async with strict.at_work():
            blocked = await strict.crew.attempt(first)
            await strict.do("update outbox.projects set egress = true")
            told = await strict.crew.attempt(await strict.delivery())
            await strict.do("update outbox.projects set egress = false")
            # The connection is in a pool by now.
            again = await strict.crew.attempt(await strict.delivery())

    assert ("blocked", "ok", "blocked") == (blocked["class"], told["class"], again["class"])
    assert 1 == len(target.got) == target.server.connections
