"""The promises of proofs.txt and the tests that prove them, as a pytest plugin.

A test says `@proves("C5", "L1")`. Results are remembered in pytest's cache, so that `pytest --proofs`
(or `make proofs`) can print number, tests and last result of each without running anything; it fails
when a promise that holds now has no test.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

proves = pytest.mark.proves

LIST = Path(__file__).with_name("proofs.txt")
CACHE = "outboxd/proofs"
PLUGIN = "outboxd-proofs"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Promise:
    number: str
    text: str
    section: str
    """`now`, or `later` when what it speaks of is not built yet."""


def promises(path: Path = LIST) -> dict[str, Promise]:
    """By number, in the order of the file."""
    found: dict[str, Promise] = {}
    section = ""
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            number, text = line.split(maxsplit=1)
            if number in found:
                raise ValueError(f"{path.name} has {number} twice")
            found[number] = Promise(number=number, text=text, section=section)
    return found


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--proofs", action="store_true", help="print each promise with its tests, run nothing")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Proofs(config), PLUGIN)


class Proofs:
    """Collects who proves what before anything is deselected, and remembers how it went."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.only_print: bool = config.getoption("--proofs")
        self.promises = promises()
        self.tests: dict[str, list[str]] = {number: [] for number in self.promises}
        self.results: dict[str, str] = {}
        self.files: set[Path] = set()
        """That tests were collected from."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            self.files.add(item.path)
            for number in numbers(item):
                if number not in self.tests:
                    raise pytest.UsageError(f"{item.nodeid} proves {number}, which {LIST.name} does not have")
                self.tests[number].append(item.nodeid)
                # Reports carry it to whoever distributes the tests, and has collected none.
                item.user_properties.append(("proves", number))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        if not self.only_print:
            return None
        print("\n".join(table(self.promises.values(), self.tests, self.remembered())))
        # A session with failures ends with 1, and that is what a promise without proof is.
        session.testsfailed = len(unproved(self.promises.values(), self.tests)) + session.testsfailed
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if all(name != "proves" for name, _ in report.user_properties):
            return
        worst = self.results.get(report.nodeid)
        if report.when == "call" or report.outcome != "passed":
            self.results[report.nodeid] = worst if worst == "failed" else report.outcome

    def pytest_sessionfinish(self) -> None:
        distributed_to = hasattr(self.config, "workerinput")
        if self.results and not distributed_to and self.config.pluginmanager.hasplugin("cacheprovider"):
            self.config.cache.set(CACHE, {**self.remembered(), **self.results})

    def remembered(self) -> dict[str, str]:
        """The last result of each test, also from runs of other tests."""
        if not self.config.pluginmanager.hasplugin("cacheprovider"):
            return {}
        return dict(self.config.cache.get(CACHE, {}))


def numbers(item: pytest.Item) -> Iterator[str]:
    for mark in item.iter_markers("proves"):
        yield from mark.args


def unproved(all_promises: Iterable[Promise], tests: dict[str, list[str]]) -> list[str]:
    """Numbers that hold now and that no test names."""
    return [each.number for each in all_promises if each.section == "now" and not tests[each.number]]


def table(
    all_promises: Iterable[Promise], tests: dict[str, list[str]], last: dict[str, str]
) -> Iterator[str]:
    """The page that `make proofs` prints; a later promise is shown only once somebody proves it."""
    shown = [each for each in all_promises if each.section == "now" or tests[each.number]]
    for each in shown:
        yield f"{each.number:<4} {each.text}"
        for test in tests[each.number]:
            yield f"       {last.get(test, 'not run'):<8} {test}"
        if not tests[each.number]:
            yield "       MISSING"
    missing = unproved(shown, tests)
    yield f"{len(shown) - len(missing)} of {len(shown)} promises have a test" + (
        f"; missing: {' '.join(missing)}" if missing else ""
    )
