"""Takes the measures: round by round, systems in turn, a checkpoint before each, until each has enough."""

from collections.abc import Callable, Iterable, Mapping

from outboxd import __version__
from outboxd.bench import budgets, host
from outboxd.bench.ground import Ground, NotMeasuredError
from outboxd.bench.measure import Measure
from outboxd.bench.report import Report, Result

Say = Callable[[str], None]


class _Tally:
    """What one measure has seen of one system."""

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = {}
        self.why: str | None = None

    def add(self, found: Mapping[str, float]) -> None:
        for figure, value in found.items():
            self.values.setdefault(figure, []).append(value)


async def run(ground: Ground, measures: Iterable[Measure], rounds: int, say: Say) -> Report:
    """The report, budgets judged. `say` is told what is being done, a line each."""
    head = host.describe(ground.dsn)
    warnings = host.warnings()
    results: list[Result] = []
    for measure in measures:
        results += await _measured(ground, measure, min(rounds, measure.rounds or rounds), say)
    report = Report(
        head=head, rounds=rounds, results=tuple(results), budgets=(), warnings=(*warnings, *host.warnings())
    )
    return Report(
        head=head,
        rounds=rounds,
        results=report.results,
        budgets=budgets.judge(report),
        warnings=tuple(dict.fromkeys(report.warnings)),
    )


async def _measured(ground: Ground, measure: Measure, rounds: int, say: Say) -> list[Result]:
    tallies = {system: _Tally() for system in measure.systems}
    for n in range(rounds):
        for system, tally in tallies.items():
            if tally.why is None:
                await _once(ground, measure, system, tally)
                say(f"{measure.name}, {system}, round {n + 1} of {rounds}: {_last(tally)}")
    return [
        Result(
            measure=figure,
            system=system,
            unit=unit,
            values=tuple(tally.values.get(figure, ())),
            version=ground.versions.get(system, __version__),
            why=tally.why or (None if figure in tally.values else "not given"),
        )
        for figure, unit in measure.gives.items()
        for system, tally in tallies.items()
        if tally.why or figure in tally.values
    ]


async def _once(ground: Ground, measure: Measure, system: str, tally: _Tally) -> None:
    """A system that fails once, in whatever way, is n/a with its reason, and is not asked again."""
    ground.checkpoint()
    try:
        tally.add(await measure.take(ground, system))
    except NotMeasuredError as failed:
        tally.why, tally.values = str(failed), {}
    except Exception as failed:  # noqa: BLE001 - the other measures are worth having
        tally.why, tally.values = f"{type(failed).__name__}: {failed}", {}


def _last(tally: _Tally) -> str:
    if tally.why:
        return f"n/a, {tally.why}"
    return ", ".join(f"{figure} {values[-1]:,.4g}" for figure, values in tally.values.items())
