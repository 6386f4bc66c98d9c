from typing import Any

import pytest
from psycopg import AsyncConnection

from outboxd.db.pool import Database
from tests.loops.crew import Crew


@pytest.fixture
async def crew(dsn: str, db: Database, conn: AsyncConnection[dict[str, Any]]) -> Crew:
    """A project, and a way to put workers to its jobs."""
    return await Crew.made(dsn, db, conn)
