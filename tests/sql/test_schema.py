from outboxd.db import migrate, schema
from tests.schema import FILE


async def test_the_schema_for_review_is_fresh_on_every_version(dsn: str) -> None:
    assert await schema.describe(dsn) == FILE.read_text(), "run `python -m tests.schema`"


async def test_the_migrated_template_is_current(dsn: str) -> None:
    assert (await migrate.check(dsn)).current
