"""A key that was changed lifts the hold of its provider; nobody can read it from what remembers it."""

from typing import Any

import pytest
from psycopg import AsyncConnection

from outboxd.providers import choosing
from outboxd.store import holds
from tests.providers.calling import settings

Conn = AsyncConnection[dict[str, Any]]
proves = pytest.mark.proves

KEYS = {"OUTBOXD_ANTHROPIC_API_KEY": "sk-hunter2secret", "OUTBOXD_OPENROUTER_API_KEY": "or-hunter2"}


def test_a_print_tells_keys_apart_and_is_none() -> None:
    prints = choosing.prints(settings(**KEYS))
    assert {"claude", "openrouter"} == set(prints)
    assert prints == choosing.prints(settings(**KEYS))
    assert prints["claude"] != choosing.prints(settings(OUTBOXD_ANTHROPIC_API_KEY="sk-other"))["claude"]
    assert not any("hunter2" in text or len(text) > 16 for text in prints.values())
    assert {} == choosing.prints(settings())


async def test_a_changed_key_lifts_the_hold_of_its_provider_alone(conn: Conn) -> None:
    before = choosing.prints(settings(**KEYS))
    assert [] == await holds.keys(conn, before, "claude")
    for provider in before:
        await conn.execute(
            "select outbox.provider_failed(%s, 'auth_invalid', '5 min', %s)", [provider, provider == "claude"]
        )
    assert [] == await holds.keys(conn, before, "claude")
    assert 2 == len([hold for hold in await holds.every(conn) if hold.until])

    after = choosing.prints(settings(**{**KEYS, "OUTBOXD_ANTHROPIC_API_KEY": "sk-another"}))
    assert ["claude"] == await holds.keys(conn, after, "claude")
    assert ["openrouter"] == [hold.provider for hold in await holds.every(conn) if hold.until]
    found = await conn.execute("select count(*) as n from outbox.queues where closed_reason = 'provider'")
    assert [{"n": 0}] == await found.fetchall()
    stored = await (await conn.execute("select * from outbox.settings")).fetchall()
    assert "another" not in str(stored)
    assert "hunter2" not in str(stored)
