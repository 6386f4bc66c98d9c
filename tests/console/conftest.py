"""One world and one served process for all tests of the console; a browser where the system has one."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_postgresql.executors import NoopExecutor

from tests import cluster
from tests.console.visitor import Visitor
from tests.console.windows import DESKTOP, Window
from tests.console.world import World
from tests.daemon.daemons import Daemon

Visitors = Callable[..., Visitor]

BROWSERS = ("chromium-headless-shell", "chromium", "google-chrome")


@pytest.fixture(scope="package")
def world(migrated: NoopExecutor) -> Iterator[World]:
    with cluster.clone(migrated) as made:
        told = World(made.dsn).tell(minutes=8)
        yield told
        told.close()


@pytest.fixture(scope="package")
def daemon(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    made = Daemon(tmp_path_factory.mktemp("console"), world.dsn, "serve")
    yield made.ready()
    made.close()


@pytest.fixture
def visitors(daemon: Daemon) -> Iterator[Visitors]:
    """Makes one that is signed in by that key; None: by none. All are closed with the test."""
    made: list[Visitor] = []

    def visitor(key: str | None, **headers: str) -> Visitor:
        made.append(Visitor(f"http://127.0.0.1:{daemon.port}", **headers))
        if key is not None:
            entered = made[-1].sign_in(key)
            assert entered.status_code == 303, entered.text
        return made[-1]

    yield visitor
    for each in made:
        each.close()


@pytest.fixture
def stranger(visitors: Visitors) -> Visitor:
    return visitors(None)


@pytest.fixture
def operator(visitors: Visitors, world: World) -> Visitor:
    return visitors(world.operator)


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    program = find_browser()
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} on PATH, and OUTBOXD_TEST_BROWSER is not set")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def window(daemon: Daemon, browser: Any) -> Iterator[Any]:
    made: list[Window] = []

    def opened(size: tuple[int, int] = DESKTOP, scheme: str = "light", *, script: bool = True) -> Window:
        made.append(Window(browser, f"http://127.0.0.1:{daemon.port}", size, scheme, script))
        return made[-1]

    yield opened
    for each in made:
        each.context.close()


def find_browser() -> str | None:
    given = os.environ.get("OUTBOXD_TEST_BROWSER")
    if given:
        return given if Path(given).exists() else None
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)
