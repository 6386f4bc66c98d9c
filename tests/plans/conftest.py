"""The filler here has no history, so C1 is not asked. Planners differ, so each version is."""

from collections.abc import Iterator

import pytest

from tests.clock import Clock
from tests.engine import Engine
from tests.sql.conftest import server

__all__ = ["engine", "server"]


@pytest.fixture
def engine(dsn: str, clock: Clock) -> Iterator[Engine]:
    made = Engine(dsn)
    yield made
    made.close()
