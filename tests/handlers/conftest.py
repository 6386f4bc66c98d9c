from collections.abc import AsyncIterator
from typing import Any

import pytest
from psycopg import AsyncConnection

from outboxd.db.pool import Database
from tests.handlers import desk
from tests.handlers.desk import Desk, Target
from tests.loops.crew import Crew


@pytest.fixture
async def crew(dsn: str, db: Database, conn: AsyncConnection[dict[str, Any]]) -> Crew:
    """A project, and a way to put workers to its jobs."""
    return await Crew.made(dsn, db, conn)


@pytest.fixture
async def post(crew: Crew) -> AsyncIterator[Desk]:
    """The crew's project with webhooks, which may be on loopback."""
    async with desk.opened(crew) as opened:
        yield opened


@pytest.fixture
async def target(post: Desk) -> AsyncIterator[Target]:
    """Answers 204 unless told otherwise."""
    async with post.target() as made:
        yield made
