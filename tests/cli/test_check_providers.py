"""check --providers: one call of each provider, judged, with the cure and without the key."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.place import Said, runner
from tests.fake_provider import KEY, Act, FakeProvider, Format, fails, faking, is_malformed, resets, says


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    """On a loop of its own, since a command runs one itself."""
    started: list[FakeProvider] = []
    ready, stop, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()

    async def serve() -> None:
        async with faking() as made:
            started.append(made)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait(10)
    yield started[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


def check(
    dsn: str, capsys: pytest.CaptureFixture[str], **settings: str
) -> tuple[Said, dict[str, dict[str, Any]]]:
    said = runner(dsn, capsys, **settings)("check", "--providers", "--json")
    found = {each["subject"]: each for each in said.json()["findings"]}
    return said, {name: each for name, each in found.items() if name.startswith("provider")}


@pytest.mark.parametrize("format", ["claude", "gemini", "openai"])
def test_a_provider_that_answers_is_ok(
    dsn: str,
    capsys: pytest.CaptureFixture[str],
    fake: FakeProvider,
    format: Format,  # noqa: A002
) -> None:
    fake.script(says("ok"))
    _, found = check(dsn, capsys, **fake.environ(format))
    assert "ok" == found[f"provider {format}"]["level"]
    assert "fake-model answers" in found[f"provider {format}"]["finding"]
    assert "ok" == found["provider offline"]["level"]
    assert 1 == len(fake.calls)


@pytest.mark.parametrize(
    ("act", "level", "cure"),
    [
        (fails(401, {"error": f"bad {KEY}"}), "fail", "OUTBOXD_ANTHROPIC_API_KEY"),
        (fails(402, {"error": "hunter2"}), "fail", "OUTBOXD_PROVIDER_FALLBACK"),
        (fails(404, {"error": "no such model"}), "fail", "OUTBOXD_MODEL"),
        (is_malformed(), "fail", "base URL"),
        (fails(429), "warn", "wait"),
        (resets(), "warn", "reached"),
    ],
    ids=["key", "quota", "model", "other protocol", "limit", "reset"],
)
def test_what_is_wrong_is_told_with_its_cure_and_never_the_key(
    dsn: str, capsys: pytest.CaptureFixture[str], fake: FakeProvider, act: Act, level: str, cure: str
) -> None:
    fake.script(act)
    said, found = check(dsn, capsys, **fake.environ())
    assert level == found["provider claude"]["level"]
    assert cure in found["provider claude"]["cure"]
    assert "hunter2" not in said.out + said.err


def test_without_the_flag_nobody_is_called(
    dsn: str, capsys: pytest.CaptureFixture[str], fake: FakeProvider
) -> None:
    said = runner(dsn, capsys, **fake.environ())("check", "--json")
    assert not [each for each in said.json()["findings"] if each["subject"].startswith("provider")]
    assert [] == fake.calls


def test_a_provider_that_has_no_key_is_a_finding_and_not_the_end(
    dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said, found = check(dsn, capsys, OUTBOXD_PROVIDER="gemini")
    assert 1 == said.exit
    assert "OUTBOXD_GEMINI_API_KEY" in found["providers"]["finding"]
