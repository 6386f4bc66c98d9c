"""The spool: what cannot be sent now is sent later, once, in order, and nothing is lost in silence."""

import fcntl
import json
import multiprocessing
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from outboxd.client import Client, ClientError, Event
from outboxd.client.orders import order
from outboxd.client.spool import HOLD, OLDEST, Spool
from tests.client.scripted import Asked, Remote, Saying, Says, remote

KEY = "obx_" + "k" * 43
DOWN = "http://127.0.0.1:1"


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now

    def pass_(self, time: timedelta) -> None:
        self.now += time.total_seconds()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "spool"


def to(server: Remote | str, folder: Path, key: str | None = KEY, **more: Any) -> Client:
    url = server if isinstance(server, str) else server.url
    return Client(url, key, spool=folder, **more)


def waiting(folder: Path) -> list[str]:
    text = (folder / "waiting.jsonl").read_text() if (folder / "waiting.jsonl").exists() else ""
    return [json.loads(line)["order"]["body"].get("eventType", "-") for line in text.splitlines()]


def rejected(folder: Path) -> list[dict[str, Any]]:
    path = folder / "rejected.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def keep(folder: Path, *types: str, **more: Any) -> None:
    """Events made while nothing listens."""
    async with to(DOWN, folder, timeout=timedelta(seconds=1), **more) as client:
        for each in types:
            assert await client.record_event(Event(event_type=each)) is None


@pytest.mark.parametrize("says", [["reset"] * 3, ["hang"], [Says(500)], [Says(429)], [Says(403)]])
async def test_a_write_that_may_succeed_later_is_kept(folder: Path, says: list[Saying]) -> None:
    async with remote(*says) as server, to(server, folder, timeout=timedelta(seconds=0.3)) as client:
        assert await client.record_event(Event(event_type="a")) is None
        assert waiting(folder) == ["a"]


async def test_without_a_key_a_write_is_kept(folder: Path) -> None:
    async with remote() as server:
        async with to(server, folder, key=None) as client:
            assert await client.record_event(Event(event_type="a")) is None
            assert await client.record_event(Event(event_type="b")) is None
        assert server.asked == []
        async with to(server, folder) as client:
            await client.replay()
        assert server.events == ["a", "b"]


@pytest.mark.parametrize("says", [Says(400), Says(409), Says(200, b"<html>")])
async def test_a_write_that_was_judged_is_not_kept(folder: Path, says: Says) -> None:
    async with remote(says) as server, to(server, folder) as client:
        with pytest.raises(ClientError):
            await client.record_event(Event(event_type="a"))
        assert waiting(folder) == []


async def test_reads_are_never_kept(folder: Path) -> None:
    async with to(DOWN, folder) as client:
        with pytest.raises(ClientError):
            await client.search("x")
    assert waiting(folder) == []


async def test_the_folder_is_its_owners_and_never_holds_the_key(folder: Path) -> None:
    old = os.umask(0)
    try:
        async with remote(Says(403), Says(400)) as server, to(server, folder) as client:
            await client.record_event(Event(event_type="a"))
        clock = Clock()
        clock.pass_(HOLD)
        async with remote(Says(400)) as server, to(server, folder, clock=clock) as client:
            await client.replay()
    finally:
        os.umask(old)
    check_secrecy(folder)


def check_secrecy(folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = list(folder.iterdir())
    assert {"rejected.jsonl", "held.json", "waiting.jsonl"} <= {file.name for file in files}
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert KEY not in file.read_text()


async def test_every_append_is_synced_before_the_call_returns(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fsync

    def told(fd: int) -> None:
        synced.append(os.fstat(fd).st_size)
        real(fd)

    monkeypatch.setattr(os, "fsync", told)
    await keep(folder, "a", "b")
    assert (folder / "waiting.jsonl").stat().st_size in synced
    assert len([size for size in synced if size]) >= 2


async def test_what_is_kept_goes_out_in_order_and_in_batches_of_a_hundred(folder: Path) -> None:
    spool = Spool(folder, time.time)
    types = [f"t{n}" for n in range(250)]
    spool.keep([order("/v1/events", {"eventType": each, "idempotencyKey": each}) for each in types])
    async with remote() as server, to(server, folder) as client:
        await client.replay()
        assert server.events == types
        assert [len(each.body) for each in server.asked] == [100, 100, 50]
        assert not spool.has_some()


async def test_a_session_is_started_before_its_events(folder: Path) -> None:
    async with to(DOWN, folder) as client:
        assert await client.start_session(content_session_id="s1") is None
        assert await client.record_event(Event(event_type="a", content_session_id="s1")) is None
    async with remote() as server, to(server, folder) as client:
        # The server is back: this one waits its turn behind what is kept.
        assert await client.record_events([Event(event_type="b"), Event(event_type="c")]) is None
        assert await client.add_memory("m") == {}
        assert server.lines == ["POST /v1/sessions/start", "POST /v1/events/batch", "POST /v1/memories"]
        assert server.events == ["a", "b", "c"]


def judging(poison: str) -> Any:
    def judge(asked: Asked) -> Says:
        items = asked.body if isinstance(asked.body, list) else [asked.body]
        return Says(400 if any(one["eventType"] == poison for one in items) else 201)

    return judge


async def test_a_batch_that_is_refused_is_split_and_poison_is_put_aside(folder: Path) -> None:
    types = [f"t{n}" for n in range(10)]
    await keep(folder, *types)
    async with remote() as server, to(server, folder) as client:
        server.judge = judging("t6")
        await client.replay()
        taken = [
            one["eventType"]
            for asked in server.asked
            if judging("t6")(asked).status == 201
            for one in (asked.body if isinstance(asked.body, list) else [asked.body])
        ]
    assert taken == [each for each in types if each != "t6"]
    [out] = rejected(folder)
    assert (out["order"]["body"]["eventType"], out["status"]) == ("t6", 400)
    assert waiting(folder) == []


async def test_what_was_not_sent_waits_on_in_order(folder: Path) -> None:
    async with to(DOWN, folder) as client:
        await client.record_event(Event(event_type="a"))
        await client.start_session(content_session_id="s")
        await client.record_event(Event(event_type="b"))
    async with remote(Says(201), Says(201), Says(500)) as server, to(server, folder) as client:
        await client.replay()
        assert server.lines == ["POST /v1/events", "POST /v1/sessions/start", "POST /v1/events"]
    assert waiting(folder) == ["b"]


@pytest.mark.parametrize("status", [401, 402, 403])
@pytest.mark.proves("M12")
async def test_a_refused_key_is_tried_again_after_a_quarter_of_an_hour(
    folder: Path, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    async with remote(Says(status), Says(status)) as server, to(server, folder, clock=clock) as client:
        await client.record_event(Event(event_type="a"))
        await client.record_event(Event(event_type="b"))
        assert len(server.asked) == 1, "the second one knew that the key is refused"
        clock.pass_(HOLD - timedelta(seconds=1))
        await client.replay()
        assert len(server.asked) == 1
        clock.pass_(timedelta(seconds=2))
        capfd.readouterr()
        await client.replay()
        assert len(server.asked) == 2
        assert "not replayed" in "".join(capfd.readouterr())
        clock.pass_(HOLD)
        await client.replay()
        assert server.events == ["a", "a", "b", "a", "b"]
    assert waiting(folder) == []


async def test_a_new_key_is_tried_at_once(folder: Path) -> None:
    async with remote(Says(403)) as server:
        async with to(server, folder) as client:
            await client.record_event(Event(event_type="a"))
        async with to(server, folder, key="obx_other") as client:
            await client.replay()
        assert server.events == ["a", "a"]
    assert waiting(folder) == []


def test_a_full_spool_says_so(folder: Path) -> None:
    spool = Spool(folder, time.time, most_bytes=1000)
    one = order("/v1/events", {"eventType": "a"})
    for _ in range(8):
        spool.keep([one])
    with pytest.raises(ClientError) as caught:
        spool.keep([one] * 8)
    assert caught.value.kind == "spool_full"
    assert not caught.value.spooled
    assert (folder / "waiting.jsonl").stat().st_size <= 1000
    assert waiting(folder) == ["a"] * 8


async def test_what_is_older_than_a_week_is_put_aside(folder: Path) -> None:
    clock = Clock()
    await keep(folder, "old", clock=clock)
    clock.pass_(OLDEST)
    await keep(folder, "new", clock=clock)
    clock.pass_(timedelta(seconds=1))
    async with remote() as server, to(server, folder, clock=clock) as client:
        await client.replay()
        assert server.events == ["new"]
    [out] = rejected(folder)
    assert out["order"]["body"]["eventType"] == "old"
    assert "7 days" in out["reason"]


async def test_a_line_torn_by_a_crash_is_skipped_and_counted(folder: Path) -> None:
    await keep(folder, "a")
    path = folder / "waiting.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    await keep(folder, "b")
    spool = Spool(folder, time.time)
    look = spool.look(0)
    assert [line.kept.order.body for line in look.lines] != []
    assert look.torn == 1
    async with remote() as server, to(server, folder) as client:
        await client.replay()
        assert server.events == ["a", "b"]
        assert client.torn_lines == 1
    assert not spool.has_some()


@contextmanager
def replaying_elsewhere(folder: Path) -> Iterator[None]:
    with (folder / "replay.lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


async def test_only_one_process_replays(folder: Path) -> None:
    await keep(folder, "a")
    async with remote() as server, to(server, folder) as client:
        with replaying_elsewhere(folder):
            await client.replay()
            assert await client.record_event(Event(event_type="b")) is None
            assert server.asked == []
        await client.replay()
        assert server.events == ["a", "b"]


def fill(folder: Path, name: str) -> None:
    spool = Spool(folder, time.time)
    for n in range(50):
        spool.keep([order("/v1/events", {"eventType": f"{name}{n}", "payload": "x" * 3000})])


async def test_processes_append_while_another_replays_and_nothing_is_lost(folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    makers = [context.Process(target=fill, args=(folder, name)) for name in "ab"]
    for maker in makers:
        maker.start()
    async with remote() as server, to(server, folder) as client:
        while any(maker.is_alive() for maker in makers):
            await client.replay()
        await client.replay()
        for name in "ab":
            assert [each for each in server.events if each[0] == name] == [f"{name}{n}" for n in range(50)]
    assert [maker.exitcode for maker in makers] == [0, 0]
    assert waiting(folder) == []
