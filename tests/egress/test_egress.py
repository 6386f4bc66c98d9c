import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from outboxd import config, egress
from outboxd.config import Machine
from outboxd.egress import Answer, Egress, Request, dialling, trust
from outboxd.egress.dialling import Resolve, resolve
from outboxd.errors import Blocked, Unreachable
from tests.egress.certificates import self_signed, tls_of
from tests.egress.scripted import OK, Server, answer, reset, serving
from tests.proofs import proves

HOST = Machine(root=False, home=Path("/home/ann"), container=False)
LOOPBACK = {"OUTBOXD_EGRESS_ALLOW": "127.0.0.0/8,::1/128"}
ONE = {"OUTBOXD_EGRESS_ALLOW": "127.0.0.1/32"}
WIDE = {"OUTBOXD_EGRESS_HTTP": "on", "OUTBOXD_EGRESS_PORTS": "any"}


@asynccontextmanager
async def opened(environ: Mapping[str, str], look_up: Resolve = resolve) -> AsyncIterator[Egress]:
    settings = config.read(environ, command="up", machine=HOST)
    async with Egress.open(settings, look_up=look_up) as found:
        yield found


async def call(
    door: Egress, url: str, *, trusted: bool = True, seconds: float = 5.0, body: bytes = b"{}"
) -> Answer:
    request = Request(url=url, headers={"content-type": "application/json"}, body=body)
    return await door.send(request, timeout=timedelta(seconds=seconds), trusted=trusted)


async def failure(door: Egress, server: Server, seconds: float = 5.0) -> str:
    with pytest.raises(Unreachable) as caught:
        await call(door, f"http://127.0.0.1:{server.port}/", seconds=seconds)
    return caught.value.kind


def always(*answers: str) -> Resolve:
    async def look_up(_: str, __: int) -> Sequence[str]:
        return answers

    return look_up


# What is sent and what comes back ----------------------------------------------------------------------


async def test_a_request_is_sent_as_it_is_and_the_answer_told() -> None:
    body = '{"name":"Zoë 😀"}'.encode()
    got: list[bytes] = []

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await server.request(reader))
        writer.write(b"HTTP/1.1 202 Fine\r\nX-One: 1\r\nContent-Length: 3\r\n\r\nyes")

    async with serving(act) as server, opened(LOOPBACK) as door:
        said = await call(door, f"http://127.0.0.1:{server.port}/hook?a=b", body=body)
    assert (said.status, said.headers["x-one"], said.body, said.address) == (202, "1", b"yes", "127.0.0.1")
    assert got == [body]
    head = server.heads[0].decode().lower().split("\r\n")
    assert head[0] == "post /hook?a=b http/1.1"
    assert {line.partition(":")[0] for line in head[1:] if line} == {
        "host",
        "content-type",
        "content-length",
        "accept-encoding",
    }
    assert "accept-encoding: identity" in head


async def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with serving() as server, opened(LOOPBACK) as door:
        assert (await call(door, f"http://127.0.0.1:{server.port}/")).status == 200


@proves("D5")
async def test_a_redirect_is_told_and_not_followed() -> None:
    async with serving() as elsewhere:
        where = f"HTTP/1.1 302 F\r\nLocation: http://127.0.0.1:{elsewhere.port}/\r\nContent-Length: 0\r\n\r\n"

        async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await answer(server, reader, writer, where.encode())

        async with serving(act) as server, opened(LOOPBACK) as door:
            assert (await call(door, f"http://127.0.0.1:{server.port}/")).status == 302
    assert elsewhere.connections == 0


async def test_a_cookie_is_not_brought_back() -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(server, reader, writer, OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b\r\n\r\n"))

    async with serving(act) as server, opened(LOOPBACK) as door:
        for _ in range(2):
            await call(door, f"http://127.0.0.1:{server.port}/")
    assert len(server.heads) == 2
    assert b"cookie" not in b"".join(server.heads).lower()


async def test_interim_answers_are_ignored() -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(server, reader, writer, b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n", OK)

    async with serving(act) as server, opened(LOOPBACK) as door:
        assert (await call(door, f"http://127.0.0.1:{server.port}/")).status == 200


# Answers that are too much, too slow, or none ------------------------------------------------------------


async def test_an_endless_body_is_cut_at_64_kib_and_the_connection_closed() -> None:
    closed = asyncio.Event()
    sent = 0

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await server.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
                sent += 65536
        finally:
            closed.set()

    async with serving(act) as server, opened(LOOPBACK) as door:
        said = await call(door, f"http://127.0.0.1:{server.port}/")
        async with asyncio.timeout(5):
            await closed.wait()
    assert (said.status, len(said.body)) == (200, 65536)
    # What the kernel's buffers took as well, which is megabytes at most.
    assert sent < 32 * 1024 * 1024


async def test_a_gzip_bomb_stays_as_small_as_it_came() -> None:
    bomb = gzip.compress(bytes(50_000_000))[:60_000]

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
        await answer(server, reader, writer, head, bomb)

    async with serving(act) as server, opened(LOOPBACK) as door:
        assert (await call(door, f"http://127.0.0.1:{server.port}/")).body == bomb


async def test_a_body_that_drips_or_breaks_does_not_take_back_the_status() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")
        await reader.read()

    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(b"HTTP/1.1 201 OK\r\nContent-Length: 9\r\n\r\nab")

    async with opened(LOOPBACK) as door:
        async with serving(drip) as server:
            said = await call(door, f"http://127.0.0.1:{server.port}/", seconds=0.3)
            assert (said.status, said.body) == (200, b"ab")
        async with serving(broken) as server:
            said = await call(door, f"http://127.0.0.1:{server.port}/")
            assert (said.status, said.body) == (201, b"ab")


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 33_000 + b"\r\nContent-Length: 0\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10_485_760, "protocol"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 1_000_000, "protocol"),
        (b"hello, this is HTTP/0.9\n", "protocol"),
        (b"HTTP/1.1 twohundred\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-", "protocol"),
        (b"", "connect"),
    ],
    ids=["33k header", "10M header", "a million headers", "HTTP/0.9", "no status", "cut head", "nothing"],
)
async def test_what_is_no_answer_is_classified(head: bytes, kind: str) -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(head)
        await writer.drain()

    async with serving(act) as server, opened(LOOPBACK) as door:
        assert await failure(door, server) == kind


async def test_headers_of_32_kib_are_taken() -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(
            server, reader, writer, OK.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * 32_000 + b"\r\n\r\n")
        )

    async with serving(act) as server, opened(LOOPBACK) as door:
        assert len((await call(door, f"http://127.0.0.1:{server.port}/")).headers["x"]) == 32_000


async def test_a_status_that_does_not_come_in_time_is_a_timeout() -> None:
    async def act(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(act) as server, opened(LOOPBACK) as door:
        assert await failure(door, server, seconds=0.2) == "timeout"


async def test_a_refused_connection_and_an_unknown_name_are_told_apart() -> None:
    async with serving() as server:
        pass

    async def unknown(_: str, __: int) -> Sequence[str]:
        raise OSError

    async with opened(LOOPBACK) as door:
        assert await failure(door, server) == "connect"
    async with opened(LOOPBACK, unknown) as door:
        with pytest.raises(Unreachable) as caught:
            await call(door, "https://target.test/")
        assert caught.value.kind == "dns"
        with pytest.raises(Blocked, match="does not resolve"):
            await door.check("https://target.test/", trusted=False)


async def test_the_next_address_is_tried_when_the_first_refuses() -> None:
    async with serving() as server, opened(LOOPBACK, always("127.0.0.3", "127.0.0.1")) as door:
        said = await call(door, f"http://target.test:{server.port}/")
        assert (said.status, said.address) == (200, "127.0.0.1")


# Pooled connections --------------------------------------------------------------------------------------


async def test_a_connection_is_used_again_within_a_minute_and_not_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving() as server, opened(LOOPBACK) as door:
        for _ in range(3):
            await call(door, f"http://127.0.0.1:{server.port}/")
        assert server.connections == 1
        monkeypatch.setattr(dialling, "POOLED", timedelta(0))
        await call(door, f"http://127.0.0.1:{server.port}/")
        assert server.connections == 2


async def test_a_reused_connection_that_is_reset_in_silence_is_replaced_once() -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(OK)
        await server.request(reader)
        reset(writer)

    async with serving(act) as server, opened(LOOPBACK) as door:
        for _ in range(2):
            assert (await call(door, f"http://127.0.0.1:{server.port}/")).status == 200
    assert (server.connections, len(server.heads)) == (2, 3)


async def test_a_fresh_connection_that_is_reset_is_not_tried_again() -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        reset(writer)

    async with serving(act) as server, opened(LOOPBACK) as door:
        assert await failure(door, server) == "connect"
    assert server.connections == 1


async def test_a_reused_connection_that_breaks_after_a_byte_is_not_tried_again() -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(OK)
        await server.request(reader)
        writer.write(b"H")
        await writer.drain()

    async with serving(act) as server, opened(LOOPBACK) as door:
        await call(door, f"http://127.0.0.1:{server.port}/")
        assert await failure(door, server) == "protocol"
    assert server.connections == 1


# What must not be dialled --------------------------------------------------------------------------------


@proves("D5")
@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "127.1", "0", "0.0.0.0", "localhost",
        "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]",
        "169.254.169.254", "[fd00:ec2::254]", "[fe80::1]", "10.0.0.1", "127.0.0.1.", "１２７.0.0.1",
    ],
)  # fmt: skip
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_denied_address_is_never_connected_to(scheme: str, host: str) -> None:
    async with serving() as four, serving(host="::1") as six, opened(WIDE | LOOPBACK) as door:
        for port in (four.port, six.port):
            with pytest.raises((Blocked, Unreachable)) as caught:
                await call(door, f"{scheme}://{host}:{port}/", trusted=False, seconds=2)
            assert isinstance(caught.value, Blocked) or getattr(caught.value, "kind", "") == "dns"
    assert (four.connections, six.connections) == (0, 0)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "unix:///run/docker.sock",
        "http+unix://%2Frun%2Fdocker.sock/",
        "//example.com/",
        "https://",
        "https://user:pass@example.com/",
        "https://example.com/#part",
        "https://[fe80::1%25eth0]/",
        "https://example.com:99999/",
        "https://exa mple.com/",
        "https://example.com/\r\nX: y",
        "https://example.com/" + "x" * 2048,
        "",
    ],
)
async def test_what_is_no_plain_url_is_blocked(url: str) -> None:
    async with opened(LOOPBACK, always("127.0.0.1")) as door:
        with pytest.raises(Blocked):
            await call(door, url)
        with pytest.raises(Blocked):
            await door.check(url, trusted=True)


@proves("D5")
async def test_one_bad_answer_among_good_ones_blocks_them_all() -> None:
    async with serving() as server:
        for answers in (("127.0.0.1", "10.0.0.1"), ("10.0.0.1", "127.0.0.1")):
            async with opened(ONE, always(*answers)) as door:
                with pytest.raises(Blocked, match="private or reserved"):
                    await call(door, f"http://target.test:{server.port}/")
    assert server.connections == 0


@proves("D5")
async def test_a_name_that_changes_between_look_ups_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def rebinding(name: str, _: int) -> Sequence[str]:
        asked.append(name)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    async with serving() as good, opened(ONE, rebinding) as door:
        bad = Server(good.act)
        listening = await asyncio.start_server(bad.accept, "127.0.0.2", good.port)
        async with listening:
            said = await call(door, f"http://target.test:{good.port}/")
            assert (said.address, asked) == ("127.0.0.1", ["target.test"])
            monkeypatch.setattr(dialling, "POOLED", timedelta(0))
            with pytest.raises(Blocked):
                await call(door, f"http://target.test:{good.port}/")
    assert (good.connections, bad.connections) == (1, 0)


async def test_the_allow_list_is_for_projects_that_were_opted_in() -> None:
    async with serving() as server, opened(LOOPBACK) as door:
        url = f"http://127.0.0.1:{server.port}/"
        with pytest.raises(Blocked):
            await call(door, url, trusted=False)
        assert server.connections == 0
        assert (await call(door, url, trusted=True)).status == 200
        with pytest.raises(Blocked):
            await call(door, url, trusted=False)
        assert server.connections == 1


async def test_plain_http_is_only_for_what_is_allowed_unless_it_is_on() -> None:
    async with opened(LOOPBACK, always("1.1.1.1")) as door:
        await door.check("https://target.test/", trusted=False)
        with pytest.raises(Blocked, match="plain http"):
            await door.check("http://target.test/", trusted=True)
    async with opened({"OUTBOXD_EGRESS_HTTP": "on"}, always("1.1.1.1")) as door:
        await door.check("http://target.test/", trusted=False)
        with pytest.raises(Blocked, match="port 8080"):
            await door.check("http://target.test:8080/", trusted=False)


# TLS -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed("target.test", tmp_path_factory.mktemp("tls") / "target.pem")


async def test_tls_is_verified_and_a_ca_file_adds_to_what_is_trusted(certificate: Path) -> None:
    async with serving(tls=tls_of(certificate)) as server:
        url = f"https://target.test:{server.port}/"
        async with opened(LOOPBACK, always("127.0.0.1")) as door:
            with pytest.raises(Unreachable) as caught:
                await call(door, url)
            assert caught.value.kind == "tls"
        async with opened(
            LOOPBACK | {"OUTBOXD_EGRESS_CA_FILE": str(certificate)}, always("127.0.0.1")
        ) as door:
            assert (await call(door, url)).status == 200
            with pytest.raises(Unreachable) as caught:
                await call(door, url.replace("target.test", "other.test"))
            assert caught.value.kind == "tls"
    assert len(server.heads) == 1
    assert b"host: target.test" in server.heads[0].lower()


async def test_a_server_that_speaks_no_tls_is_told_as_such() -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with serving(act) as server, opened(LOOPBACK) as door:
        with pytest.raises(Unreachable) as caught:
            await call(door, f"https://127.0.0.1:{server.port}/")
        assert caught.value.kind == "tls"


def test_old_tls_is_not_spoken() -> None:
    assert trust.trusting(None).minimum_version >= ssl.TLSVersion.TLSv1_2


# A proxy -------------------------------------------------------------------------------------------------


async def test_a_proxy_is_asked_to_connect_after_the_name_was_judged_here() -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with serving(act) as server:
        proxy = {"OUTBOXD_EGRESS_PROXY": f"http://127.0.0.1:{server.port}"}
        async with opened(proxy, always("1.1.1.1")) as door:
            with pytest.raises(Unreachable) as caught:
                await call(door, "https://target.test/", trusted=False)
            assert caught.value.kind == "connect"
        async with opened(proxy, always("10.0.0.1")) as door:
            with pytest.raises(Blocked):
                await call(door, "https://target.test/", trusted=False)
    assert [head.split(b"\r\n")[0] for head in server.heads] == [b"CONNECT target.test:443 HTTP/1.1"]


def test_the_place_where_the_guard_sits_is_still_there() -> None:
    transport = httpx.AsyncHTTPTransport()
    del transport._pool._network_backend
    with pytest.raises(AttributeError):
        egress._put_backend(transport, dialling.GuardedBackend(None))


def test_nobody_else_imports_the_http_client() -> None:
    package = Path(egress.__file__).parents[1]
    users = [path for path in package.rglob("*.py") if "import http" in path.read_text()]
    clients = [
        path for path in users if "import httpx" in path.read_text() or "import httpcore" in path.read_text()
    ]
    # What the Python client dials is the choice of whoever calls it.
    assert {path.parent.name for path in clients} == {"egress", "client"}
