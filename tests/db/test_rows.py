from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest

from outboxd.db import rows
from outboxd.db.pool import Database
from outboxd.errors import Broken


class Body(msgspec.Struct, frozen=True, kw_only=True):
    a: int


class Row(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    some_id: UUID
    seen_at: datetime
    took: timedelta
    cost: Decimal
    names: list[str]
    sent: msgspec.Raw
    body: Body
    bodies: list[Body]
    missing: msgspec.Raw | None = None


ALL = """
select '0197f1c2-7a00-7000-8000-000000000001'::uuid as some_id,
  '2026-01-02T03:04:05Z'::timestamptz as seen_at,
  interval '90 s' as took, 1.50::numeric as cost, array['x', 'y'] as names, '{"b": 1.10}'::json as sent,
  '{"a": 1}'::jsonb as body, '[{"a": 2}]'::jsonb as bodies, null::jsonb as missing, 1 as more
"""


async def test_a_row_becomes_a_struct_and_json_keeps_its_bytes(db: Database) -> None:
    async with db.connection() as conn:
        row = await rows.one(await conn.execute(ALL), Row)

    assert bytes(row.sent) == b'{"b": 1.10}'
    assert msgspec.structs.replace(row, sent=msgspec.Raw(b"")) == Row(
        some_id=UUID("0197f1c2-7a00-7000-8000-000000000001"),
        seen_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        took=timedelta(seconds=90),
        cost=Decimal("1.50"),
        names=["x", "y"],
        sent=msgspec.Raw(b""),
        body=Body(a=1),
        bodies=[Body(a=2)],
    )


async def test_no_row_is_none_or_a_defect_as_asked(db: Database) -> None:
    async with db.connection() as conn:
        assert await rows.maybe(await conn.execute("select 1 as a where false"), Body) is None
        assert await rows.many(await conn.execute("select 1 as a where false"), Body) == []
        with pytest.raises(Broken):
            await rows.one(await conn.execute("select 1 as a where false"), Body)


async def test_single_columns_come_as_values(db: Database) -> None:
    async with db.connection() as conn:
        assert await rows.value(await conn.execute("select 7"), int) == 7
        assert await rows.value(await conn.execute("""select '{"a": 1}'::jsonb"""), dict[str, int]) == {
            "a": 1
        }
        assert await rows.values(await conn.execute("select generate_series(1, 3)"), int) == [1, 2, 3]
