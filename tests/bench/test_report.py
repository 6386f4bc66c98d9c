"""Figures become medians, ratios and judgements; what is missing says why."""

import msgspec
import pytest

from outboxd.bench import budgets, report
from outboxd.bench.report import Budget, Report, Result

HEAD = {
    "host": {"python": "3.11", "cores": 2, "fsync_ms": 0.1},
    "server": {"version": "18.6", "settings": {}},
}


def result(measure: str, *values: float, system: str = "outboxd", why: str | None = None) -> Result:
    return Result(measure=measure, system=system, unit="jobs/s", values=values, why=why)


def made(*results: Result) -> Report:
    bare = Report(head=HEAD, rounds=3, results=results, budgets=(), warnings=())
    return msgspec.structs.replace(bare, budgets=budgets.judge(bare))


def judged(name: str, *results: Result) -> Budget:
    return next(budget for budget in made(*results).budgets if budget.name.startswith(name))


def test_the_median_of_the_rounds_decides() -> None:
    assert result("x", 10, 1000, 20).median == 20


@pytest.mark.parametrize(("wal", "ok"), [(1300, True), (1301, False)])
def test_a_budget_holds_up_to_its_limit_and_no_further(wal: float, ok: bool) -> None:
    assert judged("WAL a direct job", result("wal direct", wal)).ok is ok


def test_a_drain_is_laid_against_the_fastest_peer_that_was_measured() -> None:
    budget = judged(
        "drain 100 against the fastest",
        result("drain 100", 30_000),
        result("drain 100", 400, system="procrastinate"),
        result("drain 100", 15_000, system="pgqueuer"),
    )
    assert (budget.value, budget.ok) == (2.0, False)


def test_a_budget_without_its_figures_is_neither_held_nor_missed() -> None:
    budget = judged("drain 100 against the raw", result("drain 100", 30_000))
    assert (budget.value, budget.ok) == (None, None)


def test_what_of_ours_could_not_be_taken_is_told_and_a_missing_peer_is_not() -> None:
    results = (result("lanes", why="it failed"), result("drain 100", system="pgqueuer", why="not installed"))
    assert budgets.unmeasured(results) == ["lanes (it failed)"]


def test_the_table_shows_the_ratio_to_ours_and_a_reason_instead_of_a_figure() -> None:
    text = report.table(
        made(
            result("drain 100", 20_000, 24_000, 22_000),
            result("drain 100", 11_000, system="raw SQL"),
            result("drain 100", system="pgqueuer", why="pgqueuer is not installed"),
        )
    )
    lines = {line.split("  ")[1].strip(): line for line in text.splitlines() if line.startswith("drain 100")}
    assert "22,000" in lines["outboxd"]
    assert "20,000 – 24,000" in lines["outboxd"]
    assert lines["raw SQL"].endswith("0.50")
    assert "n/a" in lines["pgqueuer"]
    assert lines["pgqueuer"].endswith("pgqueuer is not installed")


def test_the_document_has_every_round() -> None:
    found = msgspec.json.decode(report.document(made(result("drain 100", 3, 1, 2))))
    [told] = found["results"]
    assert (told["values"], told["median"], told["min"], told["max"]) == ([3, 1, 2], 2, 1, 3)
    assert {budget["name"] for budget in found["budgets"]} >= {"WAL a direct job, bytes"}
