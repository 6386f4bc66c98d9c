"""Here every test runs on each major version of PostgreSQL that this machine has, with the engine at hand."""

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


@pytest.fixture(scope="session", params=_one_a_major(), ids=lambda one: f"pg{one.major}" if one else "given")
def server(request: pytest.FixtureRequest) -> Iterator[NoopExecutor]:
    """As the session's, once a major version."""
    chosen: binaries.Binaries | None = request.param
    if chosen is None:
        yield cluster.executor(os.environ["OUTBOXD_TEST_DSN"])
        return
    with cluster.private(cluster.FAST, programs=chosen.folder) as embedded:
        yield cluster.executor(embedded.dsn("postgres"))
