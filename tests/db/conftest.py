"""What several tests of this floor need."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from outboxd.db.embedded import Embedded
from tests.cluster import folder_for_clusters
from tests.db.servers import QUICK
from tests.db.trees import Sql


@pytest.fixture
def sql(tmp_path: Path) -> Sql:
    return Sql(tmp_path / "sql")


@pytest.fixture
def admin(empty_dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(empty_dsn, autocommit=True) as conn:
        yield conn


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory that any account may pass, with a short name: the socket's path must be short."""
    made = folder_for_clusters() / f"ob-{os.getpid()}-{time.monotonic_ns() % 10**6}"
    made.mkdir(mode=0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def start() -> Iterator[Callable[..., Embedded]]:
    """Starts servers and stops them afterwards."""
    started: list[Embedded] = []

    def go(data: Path, **more: object) -> Embedded:
        server = Embedded(data, **({"settings": QUICK} | more))  # type: ignore[arg-type]
        started.append(server)
        server.start()
        return server

    yield go
    for server in started:
        server.stop()
