"""On a socket: what is said before there is a request, and what clients claim about it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from uvicorn.protocols.http.h11_impl import H11Protocol

from outboxd.api import bodies, server
from outboxd.db.pool import Database
from tests import seed
from tests.api.served import serving
from tests.waiting import until

Conn = AsyncConnection[DictRow]
PROTOCOLS = {"quick": server.protocol(), "plain": type("Plain", (server.Guarded, H11Protocol), {})}


@asynccontextmanager
async def listening(db: Database, kind: str = "quick") -> AsyncIterator[int]:
    async with serving(db) as served:
        config = server.serving(served.app, served.config, port=0, http=PROTOCOLS[kind])
        running = server.Server(config)
        task = asyncio.create_task(running.serve())
        await until(lambda: running.started)
        try:
            yield running.servers[0].sockets[0].getsockname()[1]
        finally:
            running.should_exit = True
            await task


async def answer(port: int, *sent: bytes, pause: float = 0.0) -> tuple[int, dict[str, str], bytes]:
    """What the server says to these bytes: status, headers, body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in sent:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
        head, _, rest = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
        lines = (line.partition(": ") for line in rest.decode().split("\r\n"))
        headers = {name.lower(): value for name, _, value in lines}
        return int(head.split()[1]), headers, await reader.readexactly(int(headers["content-length"]))
    finally:
        writer.close()


def checked(found: tuple[int, dict[str, str], bytes], status: int, code: str) -> None:
    told = json.loads(found[2])
    assert (status, code) == (found[0], told["error"])
    assert "application/problem+json" == found[1]["content-type"]
    assert told["requestId"] == found[1]["x-request-id"]
    assert "nosniff" == found[1]["x-content-type-options"]


@pytest.mark.parametrize("kind", PROTOCOLS)
@pytest.mark.proves("I3", "G3")
async def test_a_head_that_never_ends_is_cut(kind: str, db: Database) -> None:
    async with listening(db, kind) as port:
        line = await answer(port, b"GET /" + b"a" * 45_000)
        headers = await answer(port, b"GET / HTTP/1.1\r\n", *[b"a: " + b"b" * 1000 + b"\r\n"] * 45)

    checked(line, 414, "UriTooLong")
    checked(headers, 431, "HeadersTooLarge")


@pytest.mark.parametrize("kind", PROTOCOLS)
@pytest.mark.proves("I4")
async def test_long_lines_and_headers_are_refused(kind: str, db: Database) -> None:
    async with listening(db, kind) as port:
        line = await answer(port, b"GET /?" + b"a" * 8192 + b" HTTP/1.1\r\nhost: x\r\n\r\n")
        headers = await answer(port, b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"b" * 33_000 + b"\r\n\r\n")
        junk = await answer(port, b"\x16\x03\x01 hello\r\n\r\n")

    checked(line, 414, "UriTooLong")
    checked(headers, 431, "HeadersTooLarge")
    checked(junk, 400, "BadRequest")


@pytest.mark.parametrize("kind", PROTOCOLS)
@pytest.mark.proves("I3")
async def test_a_request_that_does_not_arrive_is_408(
    kind: str, db: Database, conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ARRIVES_IN", 0.2)
    monkeypatch.setattr(bodies, "ARRIVES_IN", 0.2)
    tenant = await seed.tenant(conn)
    begun = f"POST /v1/events HTTP/1.1\r\nhost: x\r\nx-api-key: {tenant.key}\r\ncontent-length: 50\r\n\r\n"
    async with listening(db, kind) as port:
        head = await answer(port, b"GET /livez HTT")
        body = await answer(port, begun.encode(), b'{"event')

    checked(head, 408, "RequestTimeout")
    checked(body, 408, "RequestTimeout")
    assert 0 == (await seed.counts(conn))["events"]


@pytest.mark.proves("I3")
async def test_a_lying_length_changes_nothing(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    start = f"POST /v1/events HTTP/1.1\r\nhost: x\r\nx-api-key: {tenant.key}\r\n".encode()
    event = b'{"eventType":"a"}'
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    async with listening(db) as port:
        claimed = await answer(port, start + b"content-length: 5242881\r\n\r\n")
        endless = await answer(port, start + b"transfer-encoding: chunked\r\n\r\n", *[chunk] * 81)
        chunked = await answer(
            port, start + b"transfer-encoding: chunked\r\n\r\n11\r\n" + event + b"\r\n0\r\n\r\n"
        )
        short = await answer(port, start + b"content-length: 5\r\n\r\n" + event)
        both = await answer(
            port,
            start
            + b"content-length: 17\r\ntransfer-encoding: chunked\r\n\r\n11\r\n"
            + event
            + b"\r\n0\r\n\r\n",
        )

    checked(claimed, 413, "PayloadTooLarge")
    checked(endless, 413, "PayloadTooLarge")
    assert 201 == chunked[0]
    assert 400 == short[0]
    assert both[0] in {201, 400}


async def test_requests_follow_each_other_on_one_connection(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    request = (
        f"POST /v1/events HTTP/1.1\r\nhost: x\r\nx-api-key: {tenant.key}\r\ncontent-length: 17\r\n\r\n"
        '{"eventType":"a"}'
    ).encode()
    async with listening(db) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request * 3)
        statuses, head = [], b""
        for _ in range(3):
            head = await reader.readuntil(b"\r\n\r\n")
            statuses.append(head.split()[1])
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r")[0]))
        writer.close()

    assert [b"201"] * 3 == statuses
    assert b"server:" not in head.lower()
