"""A fake model and workers as processes, killed without a word and started again."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from tests.daemon.daemons import ROOT, Daemon, Place
from tests.fake_provider import KEY, MODEL

_QUICK = 5.0


class Model:
    """`python -m tests.fake_provider`, asked from outside what it counted."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def told(self) -> dict[str, int]:
        """calls, most at once, aborted."""
        told: dict[str, int] = httpx2.get(f"{self.url}/calls", timeout=_QUICK).json()
        return told

    @property
    def settings(self) -> dict[str, str]:
        """Of a worker that asks it."""
        return {
            "provider": "claude",
            "model": MODEL,
            "anthropic_api_key": KEY,
            "anthropic_base_url": self.url,
        }


@contextmanager
def model(delay: float) -> Iterator[Model]:
    """`delay`: seconds before each answer."""
    words = [sys.executable, "-m", "tests.fake_provider", "--delay", str(delay)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Model(process.stdout.readline().removeprefix("listening on ").strip())
        finally:
            process.terminate()


class Fleet:
    """So many workers at a time; whoever is killed is replaced."""

    def __init__(self, place: Place, size: int, **settings: str) -> None:
        self._place = place
        self._settings = settings
        self.killed = 0
        self._crew = [self._another() for _ in range(size)]

    def ready(self) -> "Fleet":
        for worker in self._crew:
            worker.ready()
        return self

    def kill(self) -> None:
        """The oldest, at this instant."""
        oldest = self._crew.pop(0)
        oldest.signal(signal.SIGKILL)
        assert -signal.SIGKILL == oldest.gone(_QUICK), oldest.log
        self.killed += 1
        self._crew.append(self._another())

    def _another(self) -> Daemon:
        return self._place.start("work", beat_s="0.2", generation="per-event", **self._settings)


def killed_in_calls(fleet: Fleet, asked: Model, kills: int, *, every: int, limit: float) -> None:
    """A kill each time that the model was asked `every` times more. Fails after `limit` seconds."""
    end = time.monotonic() + limit
    seen = 0
    while fleet.killed < kills:
        assert time.monotonic() < end, f"{fleet.killed} of {kills} kills within {limit} s"
        calls = asked.told["calls"]
        if calls >= seen + every:
            fleet.kill()
            seen = calls
        time.sleep(0.02)
