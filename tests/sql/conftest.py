"""Here every test runs on each major version of PostgreSQL that this machine has, with the engine at hand.

On versions but the first each test runs with the first of its parameters only, and `make nightly` has
them all: every statement is executed there, which is where versions differ.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_postgresql.executors import NoopExecutor

from outboxd.db import binaries
from tests import cluster
from tests.engine_fixtures import engine, tenant, worker

__all__ = ["engine", "tenant", "worker"]


def _one_a_major() -> list[binaries.Binaries | None]:
    if os.environ.get("OUTBOXD_TEST_DSN"):
        return [None]
    first: dict[int, binaries.Binaries] = {}
    for found in binaries.found():
        if found.major >= 14:
            first.setdefault(found.major, found)
    return [*first.values()]


_VERSIONS = _one_a_major()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    seen: set[tuple[str, str]] = set()
    for item in items:
        if here not in item.path.parents or not isinstance(item, pytest.Function):
            continue
        version = item.callspec.params.get("server") if hasattr(item, "callspec") else None
        if version is None or version is _VERSIONS[0]:
            continue
        which = (item.nodeid.partition("[")[0], repr(version))
        if which in seen:
            item.add_marker(pytest.mark.nightly)
        seen.add(which)


@pytest.fixture(scope="session", params=_VERSIONS, ids=lambda one: f"pg{one.major}" if one else "given")
def server(request: pytest.FixtureRequest) -> Iterator[NoopExecutor]:
    """As the session's, once a major version."""
    chosen: binaries.Binaries | None = request.param
    if chosen is None:
        yield cluster.executor(os.environ["OUTBOXD_TEST_DSN"])
        return
    with cluster.private(cluster.FAST, programs=chosen.folder) as embedded:
        yield cluster.executor(embedded.dsn("postgres"))
