"""The budgets of a release: ratios and counts, so that they hold on any two cores."""

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from outboxd.bench.report import Budget, Report, Result

OURS = "outboxd"
PEERS = ("procrastinate", "pgqueuer")


class _Rule(NamedTuple):
    name: str
    rule: Literal["at most", "at least"]
    limit: float
    value: Callable[[Report], float | None]
    aim: float | None = None


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def _own(measure: str) -> Callable[[Report], float | None]:
    return lambda report: report.median(measure)


def _against(measure: str, system: str) -> Callable[[Report], float | None]:
    return lambda report: _ratio(report.median(measure), report.median(measure, system))


def _between(measure: str, other: str) -> Callable[[Report], float | None]:
    return lambda report: _ratio(report.median(measure), report.median(other))


def _fastest_peer(report: Report) -> float | None:
    peers = [median for name in PEERS if (median := report.median("drain 100", name)) is not None]
    return _ratio(report.median("drain 100"), max(peers, default=None))


_RULES = (
    _Rule("WAL a direct job, bytes", "at most", 1300, _own("wal direct"), 1000),
    _Rule("WAL an event with one job, bytes", "at most", 2400, _own("wal event"), 2000),
    _Rule("dead row versions a direct job", "at most", 1.2, _own("dead direct")),
    _Rule("dead row versions an event with one job", "at most", 2.3, _own("dead event")),
    _Rule("dead row versions a keyed event", "at most", 6, _own("dead keyed")),
    _Rule("transactions a job drained in batches of 100", "at most", 0.1, _own("transactions")),
    _Rule("notifications a job while busy", "at most", 0.01, _own("notifications")),
    _Rule("statements a second, idle, LISTEN proven", "at most", 1, _own("idle statements")),
    _Rule("statements a second, idle, LISTEN not proven", "at most", 6, _own("idle statements, no LISTEN")),
    _Rule("held snapshot against free", "at least", 0.7, _between("held snapshot", "free snapshot")),
    _Rule("held snapshot, last 10 s against first", "at least", 0.9, _own("held decay")),
    _Rule("1 M backlog against an empty one", "at least", 0.8, _between("drain with backlog", "drain 100")),
    _Rule("drain 100 against the fastest Python peer", "at least", 2.5, _fastest_peer, 4),
    _Rule("drain 100 against the raw limit", "at least", 0.4, _against("drain 100", "raw SQL")),
    _Rule("HTTP single against no database", "at least", 0.4, _against("ingest single", "no database"), 0.6),
    _Rule("HTTP single p99, ms", "at most", 50, _own("ingest single p99")),
    _Rule(
        "gated producers against notify off, 64 clients",
        "at least",
        0.7,
        _between("gate 64 gated", "gate 64 off"),
    ),
    _Rule("gated producers against ideal, 300 ms transactions", "at least", 0.95, _own("gate slow gated")),
    _Rule("pick-up p50, idle, ms", "at most", 5, _own("pick-up p50")),
    _Rule("pick-up p95, idle, ms", "at most", 20, _own("pick-up p95")),
    _Rule("pick-up with notify off, ms beyond the poll", "at most", 50, _own("pick-up off, beyond poll")),
    _Rule("1,000 shares against one", "at least", 0.5, _between("drain 1,000 shares", "drain 100")),
    _Rule("statements a second, idle, agents' memory on", "at most", 1, _own("idle statements, memory")),
    _Rule("calls an event, debounced", "at most", 0.1, _own("calls an event, debounce")),
    _Rule("search p50 at 100,000 observations, ms", "at most", 20, _own("search p50")),
    _Rule("search p99 for a word of every second, ms", "at most", 250, _own("search common p99")),
    _Rule("memory idle, MiB", "at most", 80, _own("memory idle")),
    _Rule("memory with a 1 M backlog, MiB above idle", "at most", 50, _own("memory backlog")),
)


def judge(report: Report) -> tuple[Budget, ...]:
    """Every budget, with what this run measured for it, if it did."""
    return tuple(
        Budget(name=r.name, rule=r.rule, limit=r.limit, aim=r.aim, value=r.value(report)) for r in _RULES
    )


def missed(budgets: Iterable[Budget]) -> list[str]:
    """The names of those that do not hold."""
    return [budget.name for budget in budgets if budget.ok is False]


def unmeasured(results: Iterable[Result]) -> list[str]:
    """Which figures of ours this run could not take, with the reason. Peers may be missing."""
    return [f"{r.measure} ({r.why})" for r in results if not r.values and r.system == OURS]
