"""What a client that does not read, or is cut off, costs."""

import asyncio
import time

import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd import telemetry
from outboxd.api import flows
from outboxd.loops.hub import tails
from tests import seed
from tests.proofs import proves
from tests.streams import pods, reading
from tests.streams.pods import Pod
from tests.telemetry.test_metrics import values
from tests.waiting import until

Conn = AsyncConnection[DictRow]


@proves("F8")
async def test_who_reads_nothing_is_closed_and_the_others_go_on(
    dsn: str, conn: Conn, tenant: seed.Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows, "_WRITE", 1.0)
    monkeypatch.setattr(tails, "_STALLED", 0.3)
    slow = values("stream_closed_total").get(("slow",), 0)
    async with pods.pod(dsn) as pod:
        stuck = [await stuck_reader(pod, tenant) for _ in range(5)]
        async with pod.stream(tenant) as stream:
            await stream.message()
            took = []
            for n in range(150):
                began = time.monotonic()
                await pods.publish(conn, tenant.project, 20, first=n)
                await stream.events(20)
                took.append(time.monotonic() - began)
                if n == 20:
                    await conn.execute(_WIDE, (tenant.project,))
                    await stream.events(60)
            assert sorted(took)[int(len(took) * 0.99)] < 1.5
        await until(lambda: values("stream_closed_total").get(("slow",), 0) - slow == len(stuck), 15)
        await until(lambda: values("streams_open")[()] == 0, 15)
        for writer in stuck:
            writer.close()


_WIDE = """
select outbox.publish('wide', jsonb_build_object('t', repeat(md5(g::text), 7000)), %s)
from generate_series(1, 60) g
"""


async def stuck_reader(pod: Pod, tenant: seed.Tenant) -> asyncio.StreamWriter:
    """Asks, and reads not even the head; its buffers are small."""
    import socket

    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", pod.port))
    _, writer = await asyncio.open_connection(sock=sock, limit=1024)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(
        f"GET /v1/projects/{tenant.project}/stream HTTP/1.1\r\nhost: x\r\n"
        f"authorization: Bearer {tenant.key}\r\n\r\n".encode()
    )
    await until(lambda: bool(pod.hub.tails))
    return writer


@proves("F8")
async def test_connections_that_are_reset_leave_nothing_behind(
    dsn: str, conn: Conn, tenant: seed.Tenant
) -> None:
    async with pods.pod(dsn, STREAMS_PER_KEY="1000") as pod:
        await pods.publish(conn, tenant.project, 50)

        async def come_and_go(n: int) -> None:
            if n % 3 == 0:
                _, writer = await asyncio.open_connection("127.0.0.1", pod.port)
                writer.write(f"GET /v1/projects/{tenant.project}/stream HTTP/1.1\r\nhost: x\r\n".encode())
                await asyncio.sleep(n % 7 / 1000)
                writer.transport.abort()
                return
            path = f"/v1/projects/{tenant.project}/stream?last_event_id=earliest"
            async with reading.opened(pod.port, path, tenant.key) as stream:
                for _ in range(n % 4):
                    await stream.message()
                stream.reset()

        for begin in range(0, 200, 20):
            await asyncio.gather(*(come_and_go(n) for n in range(begin, begin + 20)))
        await until(lambda: values("streams_open")[()] == 0 and not pod.hub.tails)
        assert 0 == values("stream_subscribers_replaying")[()]
        assert 0 == values("stream_ring_bytes")[()]
        assert b"outboxd_stream_gaps_total 0.0" in telemetry.render()
