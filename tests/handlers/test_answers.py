"""What an answer means for the delivery: every line of the table, and when it is tried again."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from uuid import UUID

import pytest

from outboxd.egress import Egress
from tests.egress.scripted import Server, reset, serving
from tests.handlers import desk
from tests.handlers.desk import Desk, Target, says, settled
from tests.loops.crew import Crew
from tests.proofs import proves
from tests.waiting import until

# What an answer means ------------------------------------------------------------------------------------

AGAIN = ("failed", "later")
FINAL = ("failed", "dead_letters")
DONE = ("completed", None)


@proves("D4", "L12")
@pytest.mark.parametrize(
    ("answer", "end", "class_", "remembered"),
    [
        (says(200), DONE, "ok", "ok"),
        (says(204), DONE, "ok", "ok"),
        (says(299), DONE, "ok", "ok"),
        (b"HTTP/1.1 103 Early\r\n\r\n" + says(202), DONE, "ok", "ok"),
        *[
            (says(status), AGAIN, "server_error", "server_error")
            for status in (408, 425, 500, 502, 503, 504, 599)
        ],
        (says(429), AGAIN, "throttled", "throttled"),
        *[
            (says(status, "Location: /elsewhere"), AGAIN, "redirect", "redirect")
            for status in (301, 302, 307, 308)
        ],
        (says(304), AGAIN, "redirect", "redirect"),
        (says(410), FINAL, "gone", "gone"),
        (says(413), FINAL, "client_error", None),
        (says(415), FINAL, "client_error", None),
        *[
            (says(status), AGAIN, "client_error", "client_error")
            for status in (400, 401, 403, 404, 405, 409, 418, 422)
        ],
        (b"SSH-2.0-OpenSSH\r\n\r\n", AGAIN, "protocol", "protocol"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", AGAIN, "protocol", "protocol"),
        (says(200, "webhook-delivery: disable"), DONE, "control", "control"),
        (says(500, "webhook-delivery: disable"), FINAL, "control", "control"),
        (says(500, "webhook-delivery: abort-message"), FINAL, "control", None),
    ],
)
async def test_each_answer_means_what_the_table_says(
    post: Desk,
    target: Target,
    answer: bytes,
    end: tuple[str, str | None],
    class_: str,
    remembered: str | None,
) -> None:
    target.answers = [answer]
    endpoint = await post.endpoint(target.url)
    async with post.at_work():
        job = await post.delivery()
        attempt = await post.crew.attempt(job)

    assert (attempt["outcome"], attempt["class"]) == (end[0], class_)
    assert await post.crew.where(job) == ([end[1]] if end[1] else [])
    assert (await post.health(endpoint))["last_class"] == remembered
    assert len(target.got) == 1


@proves("D4")
@pytest.mark.parametrize("status", [400, 401, 404, 422])
async def test_with_terminal_4xx_a_refusal_is_final(post: Desk, target: Target, status: int) -> None:
    target.answers = [says(status)]
    await post.endpoint(target.url, terminal4xx=True)
    async with post.at_work():
        job = await post.delivery()
        attempt = await post.crew.attempt(job)

    assert ("failed", "client_error", status) == (attempt["outcome"], attempt["class"], attempt["status"])
    assert ["dead_letters"] == await post.crew.where(job)


async def hangs(_: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(-1)


async def drips(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await server.request(reader)
    for byte in b"HTTP/1.1 200 OK\r\n" * 10:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.2)


async def resets(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await server.request(reader)
    reset(writer)


async def answers_slowly(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await server.request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nso far")
    await writer.drain()
    await asyncio.sleep(10)


async def floods(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await server.request(reader)
    with suppress(ConnectionError):
        writer.write(b"HTTP/1.1 200 OK\r\n")
        for n in range(10 * 1024):
            writer.write(b"x-%d: %s\r\n" % (n, b"y" * 1024))
            await writer.drain()


async def speaks_http_0_9(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await server.request(reader)
    writer.write(b"<html>fine</html>")
    await writer.drain()
    writer.close()


Misbehaves = Callable[[Server, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@proves("D4")
@pytest.mark.parametrize(
    ("does", "class_"),
    [
        (hangs, "timeout"),
        (drips, "timeout"),
        (resets, "connect"),
        (floods, "protocol"),
        (speaks_http_0_9, "protocol"),
    ],
)
async def test_a_target_that_breaks_off_or_keeps_silent_is_tried_again(
    post: Desk, does: Misbehaves, class_: str
) -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await does(server, reader, writer)

    async with serving(act) as server, post.at_work():
        endpoint = await post.endpoint(f"http://127.0.0.1:{server.port}/", timeoutMs=1000)
        job = await post.delivery()
        attempt = await post.crew.attempt(job)

    assert ("failed", class_, None) == (attempt["outcome"], attempt["class"], attempt["status"])
    assert attempt["ms"] < 1100, "the whole attempt is within its time"
    assert ["later"] == await post.crew.where(job)
    assert class_ == (await post.health(endpoint))["last_class"]


@proves("D4")
async def test_the_status_decides_when_the_body_does_not_end(post: Desk) -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answers_slowly(server, reader, writer)

    async with serving(act) as server, post.at_work():
        await post.endpoint(f"http://127.0.0.1:{server.port}/", timeoutMs=1000)
        attempt = await post.crew.attempt(await post.delivery())

    assert ("completed", "so far") == (attempt["outcome"], attempt["detail"]["delivery"]["body"])


@proves("D4")
async def test_a_refused_connection_is_tried_again(post: Desk, unused_port: int) -> None:
    await post.endpoint(f"http://127.0.0.1:{unused_port}/")
    async with post.at_work():
        job = await post.delivery()
        attempt = await post.crew.attempt(job)

    assert ("failed", "connect") == (attempt["outcome"], attempt["class"])
    assert ["later"] == await post.crew.where(job)


@proves("D4")
async def test_a_target_that_speaks_no_tls_is_tried_again(post: Desk) -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(says(400))

    async with serving(act) as server, post.at_work():
        await post.endpoint(f"https://127.0.0.1:{server.port}/")
        job = await post.delivery()
        attempt = await post.crew.attempt(job)

    assert ("failed", "tls") == (attempt["outcome"], attempt["class"])
    assert ["later"] == await post.crew.where(job)


@proves("D4")
async def test_a_name_that_does_not_resolve_is_tried_again(post: Desk) -> None:
    await post.endpoint("https://nowhere.invalid/")
    async with post.at_work():
        job = await post.delivery()
        attempt = await post.crew.attempt(job)

    assert (("failed", "dns"), ["later"]) == (
        (attempt["outcome"], attempt["class"]),
        await post.crew.where(job),
    )


@pytest.fixture
def unused_port() -> int:
    """Nobody listens there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


@proves("D5")
async def test_a_blocked_target_is_not_connected_to_and_never_tried_again(post: Desk, target: Target) -> None:
    endpoint = await post.endpoint(target.url)
    await post.do("update outbox.projects set egress = false where id = %s", post.crew.project)
    async with post.at_work():
        job = await post.delivery()
        attempt = await post.crew.attempt(job)

    assert 0 == target.server.connections
    assert ("failed", "blocked") == (attempt["outcome"], attempt["class"])
    assert ["dead_letters"] == await post.crew.where(job)
    assert "blocked" == (await post.health(endpoint))["last_class"]


@proves("D5")
async def test_a_name_that_changes_between_look_ups_is_judged_at_each_attempt(crew: Crew) -> None:
    answers = ["127.0.0.1", "127.0.0.2"]

    async def look_up(name: str, port: int) -> list[str]:
        return [answers.pop(0)]

    async with (
        desk.opened(crew) as post,
        post.target(says(500, "Connection: close")) as target,
        Egress.open(post.config, look_up=look_up) as post.egress,
        post.at_work(),
    ):
        await post.endpoint(f"http://hook.example:{target.server.port}/")
        job = await post.delivery()
        await crew.attempt(job)
        await crew.hurry_up()
        await until(lambda: dead(crew, job))

    assert ["server_error", "blocked"] == [attempt["class"] for attempt in await crew.attempts(job)]
    assert 1 == target.server.connections


async def dead(crew: Crew, job: UUID) -> bool:
    return await crew.where(job) == ["dead_letters"]


# When it is tried again ----------------------------------------------------------------------------------


@proves("L11")
@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        ("600", 600, 601),
        ("90000", 86_400, 86_401),
        ("1", 4, 6.1),
        ("-5", 4, 6.1),
        ("soon", 4, 6.1),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 4, 6.1),
    ],
)
async def test_no_sooner_than_the_target_asks_and_no_sooner_than_the_schedule(
    post: Desk, target: Target, asked: str, least: float, most: float
) -> None:
    target.answers = [says(500, f"Retry-After: {asked}")]
    await post.endpoint(target.url)
    async with post.at_work():
        attempt = await post.crew.attempt(await post.delivery())

    assert least <= (attempt["retry_at"] - attempt["at"]).total_seconds() <= most
    assert asked == attempt["detail"]["delivery"]["retryAfter"]


@proves("L11")
async def test_a_date_in_retry_after_is_waited_for(post: Desk, target: Target) -> None:
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    target.answers = [says(500, f"Retry-After: {format_datetime(at, usegmt=True)}")]
    await post.endpoint(target.url)
    async with post.at_work():
        attempt = await post.crew.attempt(await post.delivery())

    assert abs(attempt["retry_at"] - at) < timedelta(seconds=2)


async def test_a_delivery_whose_attempts_are_spent_is_dead(post: Desk, target: Target) -> None:
    target.answers = [says(500)]
    await post.endpoint(target.url)
    async with post.at_work():
        job = await post.delivery()
        for n in (1, 2, 3):
            await until(lambda n=n: settled(post, job, n))
            await post.crew.hurry_up()

    assert ["failed"] * 3 == await post.crew.outcomes(job)
    assert ["dead_letters"] == await post.crew.where(job)
    assert 3 == len(target.got)


@pytest.mark.parametrize(
    ("answer", "rest"),
    [
        (says(429), 60),
        (says(429, "Retry-After: 5"), 60),
        (says(429, "Retry-After: 300"), 300),
        (says(503, "Retry-After: 30"), 30),
    ],
)
async def test_a_target_that_asks_for_rest_gets_it_and_its_backlog_spends_nothing(
    post: Desk, target: Target, answer: bytes, rest: int
) -> None:
    target.answers = [answer, says(204)]
    endpoint = await post.endpoint(target.url, concurrency=1)
    async with post.at_work(), post.target() as neighbour:
        first = await post.delivery()
        await post.crew.attempt(first)
        await post.endpoint(neighbour.url)
        waiting, other = await post.deliveries(await post.publish())
        await post.crew.hurry_up()
        await until(lambda: len(neighbour.got) == 1)
        await post.crew.attempt(other)
        held = await post.crew.attempts(waiting), len(target.got)
        health = await post.health(endpoint)
        why = await post.crew.rows("select reason from outbox.why(%s)", waiting)
        await post.do("update outbox.queues set closed_until = outbox.clock()")
        await post.crew.attempt(waiting, "completed")

    assert ([], 1) == held
    assert (rest - 5 < health["closed"] <= rest, health["closed_reason"]) == (True, "endpoint")
    assert {"reason": "queue_closed"} in why


async def test_a_rest_is_never_cut_short_by_a_later_answer(post: Desk, target: Target) -> None:
    endpoint = await post.endpoint(target.url)
    for seconds in (300, 60):
        await post.do(
            "select outbox.note_delivery(%s, null, 'throttled', 429, null, make_interval(secs => %s), null)",
            *(endpoint, seconds),
        )

    assert 290 < (await post.health(endpoint))["closed"] <= 300
