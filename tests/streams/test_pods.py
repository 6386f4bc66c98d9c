"""Any pod serves any subscriber: processes of their own, killed, stopped, made deaf."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from tests import seed
from tests.daemon.conftest import place
from tests.daemon.daemons import Daemon, Place
from tests.proofs import proves
from tests.streams import pods, reading
from tests.streams.pods import seq
from tests.streams.reading import Stream

__all__ = ["place"]

Conn = AsyncConnection[DictRow]

SIZES = (1, 8 * 1024, 100 * 1024, 1024 * 1024)


@asynccontextmanager
async def stream(
    daemon: Daemon, tenant: seed.Tenant, query: str = "", **headers: str
) -> AsyncIterator[Stream]:
    path = f"/v1/projects/{tenant.project}/stream?{query}"
    async with reading.opened(daemon.port, path, tenant.key, **headers) as made:
        assert 200 == made.status
        yield made


async def publish(daemon: Daemon, tenant: seed.Tenant, payload: Any) -> None:
    headers = {"authorization": f"Bearer {tenant.key}"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{daemon.port}", headers=headers) as http:
        made = await http.post("/v1/events", json={"eventType": "t", "payload": payload})
        assert 201 == made.status_code, made.text


class Follower:
    """Reads on, from whichever process lives, and never from anywhere but behind what it has seen."""

    def __init__(self, daemons: list[Daemon], tenant: seed.Tenant) -> None:
        self.daemons, self.tenant = daemons, tenant
        self.seen: list[int] = []
        self.payloads: list[Any] = []
        self.last = ""
        self.connects = 0

    async def until(self, last: int, cut: float = 0) -> None:
        """`cut`: how likely it is to cut the connection behind each event."""
        while not self.seen or self.seen[-1] < last:
            try:
                await self._read(last, cut)
            except (OSError, EOFError, asyncio.IncompleteReadError, AssertionError):
                await asyncio.sleep(0.05)

    async def _read(self, last: int, cut: float) -> None:
        daemon = random.choice([each for each in self.daemons if each.process.poll() is None])
        start = {"last_event_id": self.last} if self.last else {}
        query = "" if self.last else "last_event_id=earliest"
        async with stream(daemon, self.tenant, query, **start) as made:
            self.connects += 1
            while not self.seen or self.seen[-1] < last:
                got = await made.event(30)
                if got.event == "outboxd.close":
                    return
                assert got.event == "", got
                self.seen.append(seq(got.id))
                self.payloads.append(got.json["payload"])
                self.last = made.last_id
                if random.random() < cut:
                    made.reset()
                    return


@proves("F4", "F5", "F3")
async def test_events_of_any_size_go_from_one_process_to_another_through_kills_and_deafness(
    place: Place, conn: Conn, tenant: seed.Tenant
) -> None:
    """Two api processes: publish on one, follow on the other; end LISTEN, kill one, stop the other."""
    first, second = (place.serve() for _ in range(2))
    for each in (first, second):
        each.ready()
    async with stream(second, tenant) as made:
        await made.message()
        for n, size in enumerate(SIZES):
            await publish(first, tenant, {"n": n, "t": "x" * size})
            got = (await made.event()).json
            assert (got["payload"] is None) == (size > 256 * 1024)
        # Listeners die again and again; nothing is lost or doubled, and nothing waits for the next hint.
        for n in range(20):
            if n % 4 == 0:
                await conn.execute(_DEAFEN)
            await publish(first, tenant, {"n": n})
            assert n + 1 + len(SIZES) == seq((await made.event(5)).id)
    follower = Follower([first, second], tenant)
    following = asyncio.create_task(follower.until(124))
    for n in range(100):
        await pods.publish(conn, tenant.project, 1, first=n)
        if n == 40:
            first.signal(signal.SIGKILL)
        await asyncio.sleep(0.01)
    await asyncio.wait_for(following, 20)
    assert list(range(1, 125)) == follower.seen
    async with stream(second, tenant) as made:
        await made.message()
        second.signal(signal.SIGTERM)
        told = await made.event()
        assert ("outboxd.close", {"reason": "draining"}) == (told.event, told.json)
        assert await made.message() is None
    assert 0 == second.gone(10)


_DEAFEN = """
select pg_terminate_backend(pid) from pg_stat_activity
where application_name = 'outboxd listen' and datname = current_database()
"""


@proves("F5")
async def test_who_cannot_listen_at_all_is_two_seconds_late_at_most(
    dsn: str, conn: Conn, tenant: seed.Tenant
) -> None:
    loop = asyncio.get_running_loop()
    async with (
        pods.pod(dsn) as first,
        pods.pod(dsn, sequences=False, listens=False) as deaf,
        deaf.stream(tenant) as made,
    ):
        await made.message()
        for _ in range(3):
            began = loop.time()
            await first.publish(tenant)
            await made.event()
            assert loop.time() - began < 3


@pytest.mark.nightly
@proves("F3", "F4", "G1")
async def test_ten_thousand_events_arrive_exactly_once_by_clients_that_are_cut(
    place: Place, dsn: str, tenant: seed.Tenant
) -> None:
    """1 B to 1 MB, from eight writers with rollbacks, listeners and sequencers killed, cuts at random."""
    random.seed(4)
    daemons = [place.serve() for _ in range(2)]
    for each in daemons:
        each.ready()
    total = 10_000
    followers = [Follower(daemons, tenant) for _ in range(3)]
    following = [asyncio.create_task(each.until(total, 0.002)) for each in followers]
    killing = asyncio.create_task(kill(dsn))
    await asyncio.gather(*(write(dsn, tenant, n, total // 8) for n in range(8)))
    killing.cancel()
    await asyncio.wait_for(asyncio.gather(*following), 300)
    for reader in followers:
        assert list(range(1, total + 1)) == reader.seen
        assert reader.connects > 5
        of_writer: dict[int, list[int]] = {}
        for payload in reader.payloads:
            if payload is not None:
                of_writer.setdefault(payload["w"], []).append(payload["n"])
        assert all(seen == sorted(seen) for seen in of_writer.values())
    assert total == place.value("select head from outbox.streams where project_id = %s", tenant.project)


async def write(dsn: str, tenant: seed.Tenant, writer: int, count: int) -> None:
    made = 0
    async with await psycopg.AsyncConnection.connect(dsn) as conn:
        while made < count:
            sizes = [int(10 ** random.uniform(0, 6)) if random.random() < 0.02 else 100 for _ in range(5)]
            for n, size in enumerate(sizes[: count - made]):
                await conn.execute(
                    "select outbox.publish('t',"
                    " jsonb_build_object('w', %s::int, 'n', %s::int, 't', repeat('x', %s)), %s)",
                    (writer, made + n, size, tenant.project),
                )
            await asyncio.sleep(random.uniform(0, 0.02))
            if random.random() < 0.1:
                await conn.rollback()
                continue
            await conn.commit()
            made += len(sizes[: count - made])


async def kill(dsn: str) -> None:
    """A process's connection dies every 50 ms."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        while True:
            await conn.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name like 'outboxd%'"
                " and datname = current_database() and pid <> pg_backend_pid() order by random() limit 1"
            )
            await asyncio.sleep(0.05)
