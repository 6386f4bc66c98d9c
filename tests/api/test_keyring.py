"""What is remembered of keys: little, for a short while, and never a refusal."""

import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.api import keyring
from outboxd.api.keyring import KeyRing
from outboxd.db.pool import Database
from outboxd.errors import DatabaseUnavailable
from outboxd.store import keys
from tests import seed

Conn = AsyncConnection[DictRow]


@pytest.mark.proves("T6")
async def test_the_ring_is_bounded_and_keeps_no_refusals(
    db: Database, conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "_MOST", 2)
    tenant = await seed.tenant(conn)
    ring = KeyRing(db)
    for _ in range(4):
        _, secret = await seed.key(conn, tenant.team, "*")
        assert await ring.find(keys.digest(secret.encode()))
    revoked, gone = await seed.key(conn, tenant.team, "*")
    await keys.revoke(conn, seed.OPERATOR, revoked)
    found = await ring.find(keys.digest(gone.encode()))

    assert found
    assert not found.live
    assert await ring.find(b"unknown") is None
    assert 2 == len(ring._known)
    assert not ring._asking


@pytest.mark.proves("T6")
async def test_an_error_is_not_remembered(db: Database) -> None:
    async with Database.open("postgresql://127.0.0.1:1/none", pool_min=1) as gone:
        ring = KeyRing(gone)
        with pytest.raises(DatabaseUnavailable):
            await ring.find(b"x")

    assert (not ring._known, not ring._asking) == (True, True)


async def test_a_key_is_remembered_no_longer_than_it_lives(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await conn.execute("update outbox.keys set expires_at = clock_timestamp() + interval '0.2 s'")
    ring, digest = KeyRing(db), keys.digest(tenant.key.encode())
    first = await ring.find(digest)
    await conn.execute("select pg_sleep(0.25)")
    second = await ring.find(digest)

    assert first
    assert second
    assert (True, False) == (first.live, second.live)


async def test_its_use_is_written_but_not_every_time(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    ring = KeyRing(db)
    seen = []
    for _ in range(2):
        ring.drop(None)
        await ring.find(keys.digest(tenant.key.encode()))
        seen.append(await (await conn.execute("select last_used_at from outbox.keys")).fetchone())

    assert seen[0] == seen[1]
    assert seen[0]
    assert seen[0]["last_used_at"]
