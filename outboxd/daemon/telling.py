"""What is going on, for SIGUSR1: a log line for each loop, its state, its queues, where its tasks stand.

Nothing here waits, asks the database or changes anything: a process that hangs can still say on what.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import msgspec
import structlog

from outboxd import telemetry
from outboxd.daemon.parts import Parts
from outboxd.loops.worker import Worker

log = structlog.get_logger()

_MOST_STACKS = 50
"""Different ones of a loop; requests and jobs that stand in one place are one, with their number."""
_MOST_FRAMES = 12
_OURS = Path(__file__).parents[1]
_NAMED = {
    "chore": "sweeper", "sequencer": "sequencer", "place": "sequencer", "settler": "worker",
    "claimer": "worker", "learner": "worker", "hub": "api", "tail": "api", "metrics": "api",
}  # fmt: skip
"""The first word of a task's name → its loop, where that is not the name itself."""
_CODE = {"api": "api", "hub": "api", "ingest": "ingest", "running": "worker", "shifts": "worker",
         "worker": "worker"}  # fmt: skip
"""A folder or module of ours → the loop of tasks that begin there and have no name of their own."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    state: str
    queues: Mapping[str, float] = {}
    """What waits, and how much of it."""
    oldest: float | None = None
    """Seconds that the oldest of it has waited, or run."""


def tell(states: Mapping[str, Callable[[], State]]) -> None:
    """One line for each loop that has a state or a task."""
    tasks = _tasks()
    for name in [*states, *(name for name in tasks if name not in states)]:
        said = states[name]() if name in states else State(state="runs")
        log.info(
            "loop",
            loop=name,
            state=said.state if name in tasks or name not in states else "not running",
            queues=dict(said.queues) or None,
            oldest=None if said.oldest is None else round(said.oldest, 3),
            tasks=list(_told(tasks.get(name, ()))),
            unfolded=True,
        )


def states(made: Parts, worker: Callable[[], Worker | None]) -> dict[str, Callable[[], State]]:
    """Of the loops of a process; the worker comes when it has booted, and may be none."""
    wakes = made.wakes
    return {
        "api": _serving,
        "ingest": lambda: _taking(made),
        "worker": lambda: _working(worker()),
        "listener": lambda: _listening(made),
        "notifier": lambda: State(state="tells", queues={"hints": made.notifier.waiting}),
        "sequencer": lambda: State(state="numbers and places", queues={"wakes": wakes.sequencer.waiting}),
        "poll": lambda: State(state="looks", queues={"wakes": wakes.poll.waiting}),
        "sweeper": lambda: _sweeping(made.sweeper.running),
    }


def _serving() -> State:
    queues = {
        "requests": telemetry.reading(telemetry.HTTP_IN_FLIGHT),
        "streams": telemetry.reading(telemetry.STREAMS_OPEN),
    }
    return State(state="serves", queues=queues)


def _taking(made: Parts) -> State:
    queues = {
        "events": telemetry.reading(telemetry.INGEST_QUEUE_EVENTS),
        "bytes": telemetry.reading(telemetry.INGEST_QUEUE_BYTES),
    }
    return State(state="full" if made.ingest.full else "takes", queues=queues, oldest=made.ingest.oldest_wait)


def _listening(made: Parts) -> State:
    proven = "hints are proven" if made.listener.proven else "hints are not proven"
    return State(state=proven if made.listener.lock is None else f"{proven}, holds its lock")


def _sweeping(running: Mapping[str, float]) -> State:
    state = "runs chores" if running else "waits"
    return State(state=state, queues=running, oldest=max(running.values(), default=None))


def _working(worker: Worker | None) -> State:
    if worker is None:
        return State(state="none")
    live = worker.live
    age = worker.beat_age
    beat = "between two shifts" if age is None else f"enlisted, last beat {age:.1f} s ago"
    return State(
        state=beat,
        queues={**Counter(each.claimed.queue for each in live), "to be settled": worker.unsettled},
        oldest=max((each.ms / 1000 for each in live), default=None),
    )


def _tasks() -> dict[str, list[asyncio.Task[Any]]]:
    found: dict[str, list[asyncio.Task[Any]]] = {}
    for task in sorted(asyncio.all_tasks(), key=lambda each: each.get_name()):
        found.setdefault(_loop_of(task), []).append(task)
    return found


def _loop_of(task: asyncio.Task[Any]) -> str:
    name = task.get_name()
    if name.startswith("pool-"):
        return "connections"
    if not name.startswith("Task-"):
        first = name.partition(" ")[0].rstrip(":")
        return _NAMED.get(first, name)
    code = getattr(task.get_coro(), "cr_code", None)
    file = Path(code.co_filename) if isinstance(code, CodeType) else Path()
    if not file.is_relative_to(_OURS):
        return "api" if "uvicorn" in file.parts else "others"
    parts = (*file.relative_to(_OURS).parts[:-1], file.stem)
    return next((_CODE[part] for part in parts if part in _CODE), "others")


def _told(tasks: Iterable[asyncio.Task[Any]]) -> Iterator[str]:
    stacks = [" < ".join([_name(task), *_frames(task)]) for task in tasks]
    for stack, count in Counter(stacks).most_common(_MOST_STACKS):
        yield f"{count} x {stack}" if count > 1 else stack


def _name(task: asyncio.Task[Any]) -> str:
    name = task.get_name()
    return "task" if name.startswith("Task-") else name


def _frames(task: asyncio.Task[Any]) -> list[str]:
    """Innermost first: where it waits, then who called that. `Task.get_stack` knows the outermost alone."""
    frames: list[FrameType] = []
    waits: Any = task.get_coro()
    while waits is not None and len(frames) < 100:
        frame = getattr(waits, "cr_frame", None) or getattr(waits, "gi_frame", None)
        if frame is None:
            break
        frames.append(frame)
        waits = getattr(waits, "cr_await", None) or getattr(waits, "gi_yieldfrom", None)
    return [
        f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}"
        for frame in frames[: -_MOST_FRAMES - 1 : -1]
    ]
