"""Here every test runs on each major version of PostgreSQL that this machine has, with the engine at hand.

On versions but the first every sixth test runs, with the first of its parameters, and so do the plans;
`make nightly` has them all. What can differ there is said by the schema, which is loaded whole each time,
by plans, and by statements, most of which several tests execute.
"""

import os
from collections.abc import Iterator

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
    tests: dict[tuple[str, str], int] = {}
    for item in items:
        if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
            continue
        version = item.callspec.params.get("server")
        if version is None or version is _VERSIONS[0]:
            continue
        which = (item.nodeid.partition("[")[0], repr(version))
        if which in tests or len(tests) % 6:
            item.add_marker(pytest.mark.nightly)
        tests.setdefault(which, len(tests))


@pytest.fixture(scope="session", params=_VERSIONS, ids=lambda one: f"pg{one.major}" if one else "given")
def server(request: pytest.FixtureRequest) -> Iterator[NoopExecutor]:
    """As the session's, once a major version."""
    chosen: binaries.Binaries | None = request.param
    if chosen is None:
        yield cluster.executor(os.environ["OUTBOXD_TEST_DSN"])
        return
    with cluster.private(cluster.FAST, programs=chosen.folder) as embedded:
        yield cluster.executor(embedded.dsn("postgres"))
