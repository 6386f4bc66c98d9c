from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import CrashServer
from tests.daemon.daemons import Place


@pytest.fixture
def place(tmp_path: Path, dsn: str) -> Iterator[Place]:
    """A clone of the template."""
    made = Place(tmp_path, dsn)
    yield made
    made.close()


@pytest.fixture
def empty_place(tmp_path: Path, empty_dsn: str) -> Iterator[Place]:
    """Nothing in the database, not even the schema."""
    made = Place(tmp_path, empty_dsn)
    yield made
    made.close()


@pytest.fixture
def crash_place(tmp_path: Path, crash_server: CrashServer) -> Iterator[Place]:
    """On a server that the test may crash."""
    made = Place(tmp_path, crash_server.dsn)
    yield made
    made.close()
