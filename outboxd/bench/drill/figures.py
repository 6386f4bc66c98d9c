"""What a drill tells beside its verdict: the price of at-least-once, and how long it took to go on."""

import statistics
from bisect import bisect_right
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from outboxd.bench.drill import ledger
from outboxd.bench.drill.faults import Done
from outboxd.bench.drill.world import first

GOES_ON = 15.0
"""Seconds within which work goes on after a failover."""
_LOST = """
  select max(extract(epoch from a.at)::float8), min(extract(epoch from a.at)::float8)
  from outbox.attempts a join outbox.workers w on w.id = a.worker_id
  where a.outcome = 'lost' and extract(epoch from a.at) >= %s and w.pid = %s
  having count(*) > 0
"""


class Figures(msgspec.Struct, kw_only=True):
    """Times in seconds."""

    acknowledged: int = 0
    unknown: int = 0
    rolled_back: int = 0
    jobs: int = 0
    calls: int = 0
    outcomes: dict[str, int] = {}
    """Of the ledger of attempts."""
    rescued_after_kill: list[float] = []
    rescued_after_freeze: list[float] = []
    progress: dict[str, list[float]] = {}
    """Fault → from each of them to the first handler that began with what was published after it."""
    quiet: float | None = None
    """From the last fault until nothing was left to do."""


def take(conn: psycopg.Connection[Any], folder: Path, faults: list[Done], found: Figures) -> None:
    found.jobs = first(conn, "select count(*) from outbox.jobs")
    calls = list(ledger.read(folder, "calls-*.jsonl"))
    found.calls = len(calls)
    found.outcomes = {
        str(r[0]): int(r[1])
        for r in conn.execute("select outcome, count(*) from outbox.attempts group by 1 order by 1")
    }
    for fault in faults:
        if fault.name in {"kill", "freeze"} and fault.whom.startswith("work"):
            row = conn.execute(_LOST, [fault.wall, fault.pid]).fetchone()
            if row is not None:
                # Who was frozen goes on under its pid, and may lose jobs of other faults later.
                last, soonest = row
                if fault.name == "kill":
                    found.rescued_after_kill.append(round(last - fault.wall, 2))
                else:
                    found.rescued_after_freeze.append(round(soonest - fault.wall, 2))
    found.progress = _progress(folder, calls, faults)


def slow(found: Figures) -> list[str]:
    """Failovers after which work did not go on in time; not judged where other faults came between."""
    return (
        []
        if set(found.progress) - {"failover"}
        else [
            f"work stood for {seconds:.1f} s after a failover"
            for seconds in found.progress.get("failover", [])
            if seconds > GOES_ON
        ]
    )


def summary(found: Figures) -> str:
    """For people."""
    told = f"acknowledged {found.acknowledged}, rolled back {found.rolled_back}, unknown {found.unknown}"
    lines = [
        told,
        f"jobs {found.jobs}, Python handler calls {found.calls}, ledger {found.outcomes}",
        f"back after SIGKILL: {_times(found.rescued_after_kill)}",
        f"back after SIGSTOP: {_times(found.rescued_after_freeze)}",
    ]
    lines += [f"on after {name}: {_times(values)}" for name, values in sorted(found.progress.items())]
    return "\n".join(lines)


def _progress(folder: Path, calls: list[dict[str, Any]], faults: list[Done]) -> dict[str, list[float]]:
    meant = {
        entry["key"]: entry["at"]
        for entry in ledger.read(folder, "producer-*.jsonl")
        if entry["said"] == "intent"
    }
    begun: dict[str, float] = {}
    for call in calls:
        if "at" in call:  # the release before did not write it
            begun[call["key"]] = min(call["at"], begun.get(call["key"], call["at"]))
    # By the moment of publishing; from the back, the earliest beginning of this and all that follow.
    pairs = sorted((at, begun[key]) for key, at in meant.items() if key in begun)
    soonest: list[float] = []
    for _, at in reversed(pairs):
        soonest.append(min(at, soonest[-1]) if soonest else at)
    soonest.reverse()
    intents = [at for at, _ in pairs]
    found: defaultdict[str, list[float]] = defaultdict(list)
    for fault in faults:
        n = bisect_right(intents, fault.at)
        if n < len(soonest):
            found[fault.name].append(round(soonest[n] - fault.at, 2))
    return dict(found)


def _times(values: list[float]) -> str:
    if not values:
        return "none needed"
    return f"median {statistics.median(values):.1f} s, worst {max(values):.1f} s of {len(values)}"
