from collections.abc import AsyncIterator

import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from tests import seed
from tests.streams import pods
from tests.streams.pods import Pod


@pytest.fixture
async def pod(dsn: str) -> AsyncIterator[Pod]:
    """One process, which numbers events, too."""
    async with pods.pod(dsn) as made:
        yield made


@pytest.fixture
async def tenant(conn: AsyncConnection[DictRow]) -> seed.Tenant:
    return await seed.tenant(conn)
