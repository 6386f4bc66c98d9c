from collections.abc import AsyncIterator
from typing import Any

import pytest
from psycopg import AsyncConnection

from outboxd.db.pool import Database
from tests.memory import brain
from tests.memory.brain import Brain


@pytest.fixture
async def mind(dsn: str, db: Database, conn: AsyncConnection[dict[str, Any]]) -> AsyncIterator[Brain]:
    """A project whose events a fake model observes."""
    async with brain.opened(dsn, db, conn) as opened:
        yield opened
