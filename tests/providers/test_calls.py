"""Calls over real connections: what breaks on the way, how long it takes, and how many run at once."""

import asyncio
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path

import httpx
import msgspec
import pytest

from outboxd import providers, telemetry
from outboxd.egress import calling as egress_calling
from outboxd.errors import NotConfigured, Overloaded
from outboxd.providers import Reply
from tests.egress.certificates import self_signed, tls_of
from tests.fake_provider import (
    SHAPES,
    Act,
    FakeProvider,
    Format,
    breaks_off,
    dribbles,
    faking,
    hangs,
    is_huge,
    is_malformed,
    observation,
    redirects,
    resets,
    says,
    sends,
)
from tests.proofs import proves
from tests.providers.calling import PROMPT, Recorded, calling, failure, settings
from tests.waiting import until

ROOT = Path(__file__).parent.parent.parent
REQUEST = msgspec.structs.replace(
    PROMPT, user='<observation_request><events><event n="1"/><event n="2"/></events></observation_request>'
)


@pytest.mark.parametrize("format", ["claude", "gemini", "openai"])
async def test_a_prompt_is_answered_over_a_connection(format: Format) -> None:  # noqa: A002
    async with faking() as fake, calling(fake, format) as found:
        reply = await found.generate(format, REQUEST)
    assert reply == Reply(
        text=observation(REQUEST.user), stop="end", model="fake-model", tokens_in=100, tokens_out=20
    )
    (call,) = fake.calls
    assert (call.model, call.system, call.user) == ("fake-model", REQUEST.system, REQUEST.user)
    assert "hunter2" not in call.target


BREAKS: dict[str, tuple[Act, str]] = {
    "reset": (resets(), "transient"),
    "closed without a word": (sends(), "transient"),
    "not HTTP": (sends(b"SSH-2.0-OpenSSH_9.2\r\n"), "transient"),
    "broken off": (breaks_off(), "transient"),
    "over 4 MiB": (is_huge(), "transient"),
    "headers over 32 KiB": (
        sends(b"HTTP/1.1 200 OK\r\n", b"x-filler: " + b"x" * 40_000 + b"\r\ncontent-length: 0\r\n\r\n"),
        "transient",
    ),
    "redirect": (redirects("http://127.0.0.1:1/"), "transient"),
    "half of JSON": (is_malformed(), "parse_error"),
    "not UTF-8": (sends(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n\xff\xfe"), "parse_error"),
    "silence": (hangs(), "timeout"),
    "a byte at a time": (dribbles(), "timeout"),
}


@pytest.mark.parametrize("broken", BREAKS)
async def test_what_breaks_on_the_way_is_told_by_its_class(broken: str) -> None:
    act, kind = BREAKS[broken]
    async with faking(act) as fake, calling(fake, OUTBOXD_PROVIDER_TIMEOUT_S="0.5") as found:
        told = await failure(found)
    assert told.kind == kind
    assert "hunter2" not in told.detail
    assert len(fake.calls) == 1


async def test_an_answer_of_almost_four_mebibytes_is_read() -> None:
    text = "x" * (egress_calling.MOST_BODY_BYTES - 1000)
    async with faking(says(text)) as fake, calling(fake) as found:
        assert (await found.generate("claude", PROMPT)).text == text


async def test_nobody_listening_is_transient() -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        fake = FakeProvider()
        fake.port = taken.getsockname()[1]
        async with calling(fake) as found:
            assert (await failure(found)).kind == "transient"


async def test_a_name_that_does_not_resolve_is_transient() -> None:
    async with calling(FakeProvider(), OUTBOXD_ANTHROPIC_BASE_URL="https://provider.invalid") as found:
        assert (await failure(found)).kind == "transient"


async def test_a_certificate_is_believed_only_if_somebody_vouches_for_it(tmp_path: Path) -> None:
    certificate = self_signed("localhost", tmp_path / "localhost.pem")
    async with faking(tls=tls_of(certificate)) as fake:
        base = {"OUTBOXD_ANTHROPIC_BASE_URL": f"https://localhost:{fake.port}"}
        async with calling(fake, "claude", **base) as found:
            assert (await failure(found)).kind == "transient"
        assert fake.calls == []
        async with calling(fake, "claude", **base, OUTBOXD_EGRESS_CA_FILE=str(certificate)) as found:
            await found.generate("claude", PROMPT)
    assert len(fake.calls) == 1


async def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with faking() as elsewhere, faking() as fake:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, elsewhere.url)
        async with calling(fake) as found:
            await found.generate("claude", PROMPT)
    assert (len(fake.calls), len(elsewhere.calls)) == (1, 0)


async def test_a_proxy_that_is_set_is_asked() -> None:
    async with faking() as proxy:
        more = {"OUTBOXD_ANTHROPIC_BASE_URL": "http://provider.invalid", "OUTBOXD_PROVIDER_PROXY": proxy.url}
        async with calling(proxy, "claude", **more) as found:
            await found.generate("claude", PROMPT)
    assert [call.target for call in proxy.calls] == ["http://provider.invalid/v1/messages"]


async def test_a_connection_is_used_again() -> None:
    async with faking() as fake, calling(fake) as found:
        for _ in range(3):
            await found.generate("claude", PROMPT)
        assert len(fake._tasks) == 1


async def test_a_connection_that_the_provider_closed_meanwhile_is_not_used_again() -> None:
    body = msgspec.json.encode(SHAPES["claude"]("first", "end", (1, 1)))
    closing_after = sends(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    async with faking(says("second")) as fake, calling(fake) as found:
        fake.script(closing_after)
        assert (await found.generate("claude", PROMPT)).text == "first"
        await until(lambda: not fake._tasks)
        assert (await found.generate("claude", PROMPT)).text == "second"


async def test_connecting_gets_ten_seconds_and_the_answer_is_wanted_as_it_is() -> None:
    recorded = Recorded(httpx.Response(200, json=SHAPES["claude"]("text", "end", None)))
    async with providers.opened(settings(**FakeProvider().environ()), recorded.transport) as found:
        await found.generate("claude", PROMPT)
    (request,) = recorded.requests
    assert request.extensions["timeout"] == {"connect": 10.0, "read": None, "write": None, "pool": None}
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["user-agent"].startswith("outboxd/")


# Time ---------------------------------------------------------------------------------------------------


@proves("M7")
async def test_the_callers_deadline_ends_a_call_that_may_take_longer() -> None:
    async with faking(hangs()) as fake, calling(fake) as found:
        begun = time.monotonic()
        with pytest.raises(providers.ProviderFailed, match="timeout"):
            await found.generate("claude", PROMPT, asyncio.get_running_loop().time() + 0.2)
        assert time.monotonic() - begun < 5


@proves("M7")
async def test_a_call_that_is_cancelled_is_aborted_at_the_provider() -> None:
    async with faking(hangs()) as fake, calling(fake, OUTBOXD_PROVIDER_CONCURRENCY="1") as found:
        task = asyncio.create_task(found.generate("claude", PROMPT))
        await until(lambda: len(fake.calls) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: fake.aborted == 1)
        # Its place is free again.
        fake.act = says("next")
        assert (await found.generate("claude", PROMPT)).text == "next"


# How many -----------------------------------------------------------------------------------------------


@proves("M7")
async def test_no_more_calls_run_at_once_than_are_allowed() -> None:
    async with faking(delay=0.05) as fake, calling(fake, OUTBOXD_PROVIDER_CONCURRENCY="3") as found:
        replies = await asyncio.gather(*(found.generate("claude", PROMPT) for _ in range(12)))
    assert (len(replies), len(fake.calls), fake.most) == (12, 12, 3)


@proves("M7")
async def test_who_has_no_turn_before_his_deadline_has_sent_nothing() -> None:
    async with faking(hangs()) as fake, calling(fake, OUTBOXD_PROVIDER_CONCURRENCY="1") as found:
        first = asyncio.create_task(found.generate("claude", PROMPT))
        await until(lambda: len(fake.calls) == 1)
        with pytest.raises(Overloaded):
            await found.generate("claude", PROMPT, asyncio.get_running_loop().time() + 0.1)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    assert len(fake.calls) == 1


async def test_who_is_cancelled_while_waiting_takes_no_turn_with_him() -> None:
    async with faking(delay=0.05) as fake, calling(fake, OUTBOXD_PROVIDER_CONCURRENCY="2") as found:
        tasks = [asyncio.create_task(found.generate("claude", PROMPT)) for _ in range(6)]
        await until(lambda: len(fake.calls) == 2)
        tasks[4].cancel()
        tasks[5].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(each, Reply) for each in done] == [True] * 4 + [False] * 2
        await asyncio.gather(*(found.generate("claude", PROMPT) for _ in range(2)))
    assert fake.most == 2


# What is counted ----------------------------------------------------------------------------------------


async def test_a_call_is_counted_with_its_tokens_and_its_price(tmp_path: Path) -> None:
    prices = tmp_path / "prices"
    prices.write_text("fake-model 3000000 15000000\n")
    calls = telemetry.PROVIDER_CALLS_TOTAL.labels("claude", "ok")
    spent = telemetry.PROVIDER_COST_MICROS_TOTAL.labels("claude")
    tokens = telemetry.PROVIDER_TOKENS_TOTAL.labels("claude", "in")

    def read() -> list[float]:
        return [each._value.get() for each in (calls, tokens, spent)]

    before = read()
    async with faking() as fake, calling(fake, OUTBOXD_PRICES=str(prices)) as found:
        reply = await found.generate("claude", PROMPT)
    assert reply.cost_micros == 100 * 3 + 20 * 15
    assert [after - was for after, was in zip(read(), before, strict=True)] == [1, 100, 600]


async def test_a_failure_is_counted_by_its_class() -> None:
    count = telemetry.PROVIDER_CALLS_TOTAL.labels("claude", "parse_error")
    before = count._value.get()
    async with faking(is_malformed()) as fake, calling(fake) as found:
        await failure(found)
    assert count._value.get() == before + 1


async def test_a_provider_that_is_not_configured_is_not_called() -> None:
    async with providers.opened(settings()) as found:
        with pytest.raises(NotConfigured):
            await found.generate("gemini", PROMPT)


def test_the_fake_runs_as_a_process_of_its_own() -> None:
    line = [sys.executable, "-m", "tests.fake_provider", "--port", "0"]
    with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        with urllib.request.urlopen(f"{url}/calls", timeout=5) as answer:
            assert msgspec.json.decode(answer.read()) == {"calls": 0, "most": 0, "aborted": 0}
        process.terminate()
