"""A channel step by step: nothing is shown that is not stored, and nothing stays that nobody saw."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from tests import seed
from tests.api.served import serving
from tests.sql import questions

Conn = AsyncConnection[DictRow]
Post = Callable[[str], None]


class Channel:
    """Asks, posts a card, else plain text, else withdraws."""

    def __init__(self, http: httpx.AsyncClient, card: Post, text: Post) -> None:
        self.http, self.card, self.text = http, card, text

    async def show(self, id_: str, prompt: str) -> None:
        body = {"id": id_, "connectionId": "chat-1", "expectedActor": "ann", "prompt": prompt}
        (await self.http.post("/v1/interactions", json=body)).raise_for_status()
        for post in (self.card, self.text):
            try:
                post(prompt)
            except OSError:
                continue
            return
        query = {"connectionId": "chat-1"}
        (await self.http.delete(f"/v1/interactions/{id_}", params=query)).raise_for_status()


def broken(prompt: str) -> None:
    raise OSError("the platform is away")


async def test_nothing_is_shown_that_could_not_be_asked(db: Database, conn: Conn) -> None:
    """Interactions 10."""
    tenant = await seed.tenant(conn, "acme", "interactions:read")
    posted: list[str] = []
    async with serving(db, tenant.key) as served:
        with pytest.raises(httpx.HTTPStatusError):
            await Channel(served.http, posted.append, posted.append).show("q", "deploy?")
    assert [] == posted
    assert [] == await questions.rows(conn, "select * from outbox.interactions")


async def test_a_card_that_cannot_be_posted_is_plain_text(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    posted: list[str] = []
    async with serving(db, tenant.key) as served:
        await Channel(served.http, broken, posted.append).show("q", "deploy?")
    assert ["deploy?"] == posted
    assert "pending" == (await questions.row(conn, "q"))["state"]


async def test_a_question_that_nobody_saw_is_withdrawn_and_its_asker_woken(db: Database, conn: Conn) -> None:
    """Interactions 10."""
    tenant = await seed.tenant(conn)
    await seed.route(conn, "interaction.withdrawn", "next")
    async with serving(db, tenant.key) as served:
        given = {"id": "q", "connectionId": "chat-1", "expectedActor": "ann", "prompt": "deploy?"}
        await served.http.post("/v1/interactions", json=given)
        asker = asyncio.create_task(served.http.get("/v1/interactions/q", params={"wait": 60}))
        await Channel(served.http, broken, broken).show("q", "deploy?")
        async with asyncio.timeout(1):
            assert "withdrawn" == (await asker).json()["interaction"]["state"]
    jobs = await questions.rows(conn, "select from outbox.jobs")
    assert (1, 1) == (len(jobs), len(await questions.events(conn, "interaction.withdrawn")))
