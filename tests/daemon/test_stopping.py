"""SIGTERM in the middle of everything: streams open, requests waiting, jobs running."""

import asyncio
import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.daemon.daemons import ROOT, Daemon, Place, free_port
from tests.daemon.test_processes import key_of
from tests.proofs import proves
from tests.streams.reading import Stream, opened

DELAY, DRAIN, OVERTIME = 0.5, 1.0, 10.0
FULL = (pytest.mark.nightly, pytest.mark.timeout(300))
RUNNING = 5


@pytest.mark.parametrize(
    ("count", "seconds", "outcome"), [(20, 1, "completed"), pytest.param(200, 60, "released", marks=FULL)]
)
@proves("L14", "I1")
async def test_sigterm_answers_all_who_wait_and_ends_or_gives_back_what_runs(
    place: Place, count: int, seconds: int, outcome: str
) -> None:
    project, key = place.project(), key_of(place)
    place.value("select outbox.open_queue('nobody')")
    place.value("select outbox.add_route(outbox.me(), 'order.*', 'nobody')")
    jobs = [place.enqueue(project, "slow", f'{{"seconds": {seconds}}}') for _ in range(RUNNING)]
    daemon = place.serve(
        roles="api,work",
        app="tests.daemon.crew_app:app",
        streams_per_key="1000",
        drain_delay_s=str(DELAY),
        drain_s=str(DRAIN),
    ).ready()
    async with AsyncExitStack() as stack:
        streams: list[Stream] = [
            await stack.enter_async_context(opened(daemon.port, f"/v1/projects/{project}/stream", key))
            for _ in range(count)
        ]
        limits = httpx.Limits(max_connections=count)
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=60, limits=limits))
        waiting = [asyncio.create_task(waits(http, daemon, key, project)) for _ in range(count)]
        await until(place, "select count(*) = %s from outbox.events", count)
        await until(place, "select coalesce(sum(cardinality(job_ids)), 0) >= %s from outbox.leases", RUNNING)
        began = time.monotonic()
        daemon.signal(signal.SIGTERM)
        answers = await asyncio.gather(*waiting)
        goodbyes = await asyncio.gather(*(goodbye(stream) for stream in streams))
    status = await asyncio.to_thread(daemon.gone, DELAY + DRAIN + OVERTIME)
    took = time.monotonic() - began

    assert 0 == status, daemon.log
    assert took <= DELAY + DRAIN + OVERTIME
    assert {201, 202} >= {answer.status_code for answer in answers}
    assert [True] * count == goodbyes
    assert [outcome] * RUNNING == place.value("select array_agg(outcome) from outbox.attempts")
    back = "select array_agg(attempt) from outbox.ready where job_id = any(%s::uuid[])"
    assert ([0] * RUNNING if outcome == "released" else None) == place.value(back, jobs)


@pytest.mark.nightly
def test_up_drains_when_its_terminal_hangs_up(tmp_path: Path) -> None:
    # Not below pytest's folder: where we are root the server's account could not pass it.
    data = Path("/tmp") / f"outboxd-hangup-{os.getpid()}"
    given = {**os.environ, "OUTBOXD_EMBEDDED": "on", "OUTBOXD_DRAIN_DELAY_S": "0"}
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "outboxd", "up", "--data", str(data), "--port", str(free_port())]
    try:
        with subprocess.Popen(
            words, cwd=ROOT, env=given, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            preexec_fn=controlled,  # noqa: PLW1509  no thread is there yet
        ) as process:  # fmt: skip
            os.close(theirs)
            seen = b""
            while b"ready" not in seen:
                seen += os.read(ours, 4096)
            os.close(ours)
            assert 0 == process.wait(30)
        assert not (data / "pgdata/postmaster.pid").exists()
    finally:
        subprocess.run(["rm", "-rf", str(data)], check=True)


def controlled() -> None:
    """Makes the terminal on stdin the one whose end is a hangup."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


async def waits(http: httpx.AsyncClient, daemon: Daemon, key: str, project: str) -> httpx.Response:
    return await http.post(
        f"http://127.0.0.1:{daemon.port}/v1/events?wait=true",
        headers={"authorization": f"Bearer {key}"},
        json={"projectId": project, "eventType": "order.paid", "payload": {"n": 1}},
    )


async def goodbye(stream: Stream) -> bool:
    """Whether it was told that it ends."""
    told = False
    while (message := await stream.message(30)) is not None:
        told |= message.event == "outboxd.close"
    return told


async def until(place: Place, statement: str, *given: object) -> None:
    await asyncio.to_thread(lambda: place.until(statement, *given, limit=30))
