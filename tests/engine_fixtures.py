"""A database with the engine in it, a project and a worker; a conftest imports what it wants."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from tests import invariants
from tests.clock import Clock
from tests.engine import Engine, Tenant


@pytest.fixture
def engine(dsn: str, clock: Clock) -> Iterator[Engine]:
    """Time stands still. Whatever the test did, each job stands in one place afterwards (C1)."""
    made = Engine(dsn)
    yield made
    broken = invariants.broken(made.conn)
    made.close()
    assert broken == []


@pytest.fixture
def tenant(engine: Engine) -> Tenant:
    return engine.tenant()


@pytest.fixture
def worker(engine: Engine) -> UUID:
    """It knows `pull:work`, and is never silent however far the test moves the clock."""
    made = engine.worker()
    engine.do("update outbox.workers set beat_at = 'infinity'")
    return made
