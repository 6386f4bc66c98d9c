"""What a run says: a table for people, one JSON document for machines, and the budgets judged."""

import statistics
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from outboxd import __version__

_LONG = 40
"""Reasons are longer than figures, and do not make their column wide."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One measure of one system: every round's value, or why there is none."""

    measure: str
    system: str
    unit: str
    values: tuple[float, ...] = ()
    version: str = __version__
    why: str | None = None
    """Why it is n/a: never 0, never left out."""

    @property
    def median(self) -> float | None:
        return statistics.median(self.values) if self.values else None


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A promise about a figure: `value` must be at most, or at least, `limit`."""

    name: str
    limit: float
    value: float | None
    rule: Literal["at most", "at least"]
    aim: float | None = None

    @property
    def ok(self) -> bool | None:
        """None: not measured in this run."""
        if self.value is None:
            return None
        return self.value <= self.limit if self.rule == "at most" else self.value >= self.limit


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run."""

    head: dict[str, Any]
    rounds: int
    results: tuple[Result, ...]
    budgets: tuple[Budget, ...]
    warnings: tuple[str, ...]

    def median(self, measure: str, system: str = "outboxd") -> float | None:
        return next((r.median for r in self.results if (r.measure, r.system) == (measure, system)), None)


def table(report: Report) -> str:
    """Measure, system, version, median, min–max, and the ratio of medians to ours."""
    rows: list[tuple[str, ...]] = [("measure", "system", "version", "median", "min – max", "unit", "/ ours")]
    rows += [_row(result, report) for result in report.results]
    widths = [max(len(row[at]) for row in rows if len(row[4]) < _LONG) for at in range(len(rows[0]))]
    lines = [
        _head(report),
        *("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows),
        "\nbudgets",
        *map(_judged, report.budgets),
        *(f"warning: {text}" for text in report.warnings),
    ]
    return "\n".join(lines)


def _judged(budget: Budget) -> str:
    mark = {True: "ok  ", False: "MISS", None: "n/a "}[budget.ok]
    aim = f" (aim {_number(budget.aim)})" if budget.aim is not None else ""
    value = "not measured" if budget.value is None else _number(budget.value)
    return f"  {mark} {budget.name}: {value}, {budget.rule} {_number(budget.limit)}{aim}"


def document(report: Report) -> bytes:
    """The JSON of `--json`."""
    return msgspec.json.format(
        msgspec.json.encode(
            {
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                **report.head,
                "rounds": report.rounds,
                "results": [_result(result) for result in report.results],
                "budgets": [
                    {"name": b.name, "limit": b.limit, "aim": b.aim, "value": b.value, "ok": b.ok}
                    for b in report.budgets
                ],
                "warnings": report.warnings,
            }
        )
    )


def _head(report: Report) -> str:
    host, server = report.head["host"], report.head["server"]
    return (
        f"outboxd {__version__}, PostgreSQL {server['version']}, Python {host['python']}, "
        f"{host['cores']} cores, fsync {host['fsync_ms']} ms, {report.rounds} rounds; "
        "fsync, full_page_writes and synchronous_commit on\n"
    )


def _row(result: Result, report: Report) -> tuple[str, ...]:
    if not result.values:
        return (result.measure, result.system, result.version, "n/a", result.why or "", "", "")
    ours, median = report.median(result.measure), result.median
    ratio = f"{median / ours:.2f}" if ours and median is not None and result.system != "outboxd" else ""
    span = f"{_number(min(result.values))} – {_number(max(result.values))}"
    return (result.measure, result.system, result.version, _number(median), span, result.unit, ratio)


def _result(result: Result) -> dict[str, Any]:
    found = msgspec.structs.asdict(result)
    if result.values:
        found |= {"median": result.median, "min": min(result.values), "max": max(result.values)}
    return found


def _number(value: float | None) -> str:
    if value is None:
        return "n/a"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
