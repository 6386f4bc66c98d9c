"""A webhook into ourselves: what is made of a delivery carries its hops, and comes to an end."""

import asyncio
from typing import Any

import pytest
from psycopg import AsyncConnection

from outboxd.db.pool import Database
from tests import seed
from tests.api.served import Served, serving
from tests.egress.scripted import serving as receiving
from tests.handlers.desk import Desk, says
from tests.proofs import proves
from tests.waiting import until

Conn = AsyncConnection[dict[str, Any]]


@proves("D7")
async def test_an_endpoint_that_publishes_what_it_gets_ends_at_eight_hops(
    post: Desk, db: Database, conn: Conn
) -> None:
    _, key = await seed.key(conn, post.crew.team, "*", project=post.crew.project)
    refusals: list[dict[str, Any]] = []

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await server.request(reader)
            refusals.extend(await relay(served, server.heads[-1].decode()))
            writer.write(says(413 if refusals else 204))
            await writer.drain()

    async with serving(db, key) as served, receiving(act) as server, post.at_work():
        await post.endpoint(f"http://127.0.0.1:{server.port}/", types=["loop"])
        await post.publish(type_="loop")
        await until(lambda: bool(refusals), 20)
    hops = await post.crew.rows("select hops from outbox.events where type = 'loop' order by hops")

    assert list(range(9)) == [row["hops"] for row in hops]
    assert ["LoopDetected"] == [refusal["error"] for refusal in refusals]


async def relay(served: Served, head: str) -> list[dict[str, Any]]:
    """Publishes anew, saying how far it came; the refusal, if it is one."""
    lines = dict(line.lower().split(": ", 1) for line in head.strip().split("\r\n")[1:])
    reply = await served.http.post(
        "/v1/events",
        json={"eventType": "loop", "payload": {}},
        headers={"outboxd-hops": lines["outboxd-hops"]},
    )
    return [] if reply.status_code == 201 else [reply.json()]


@proves("D7")
@pytest.mark.parametrize("form", ["ce-structured", "ce-binary"])
async def test_a_cloudevent_that_comes_back_is_the_one_that_went_out(
    post: Desk, db: Database, conn: Conn, form: str
) -> None:
    _, key = await seed.key(conn, post.crew.team, "*", project=post.crew.project)
    came: list[str] = []

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            body = await server.request(reader)
            head = server.heads[-1].decode().strip().split("\r\n")[1:]
            kept = {
                name: value
                for name, value in (line.split(": ", 1) for line in head)
                if name.lower().startswith(("ce-", "content-type", "outboxd-hops"))
            }
            reply = await served.http.post("/v1/events", content=body, headers=kept)
            came.append(reply.json()["event"]["id"])
            writer.write(says(204))
            await writer.drain()

    async with serving(db, key) as served, receiving(act) as server, post.at_work():
        await post.endpoint(f"http://127.0.0.1:{server.port}/", format=form, types=["loop"])
        await post.publish(type_="loop")
        await until(lambda: len(came) >= 2, 20)
        await asyncio.sleep(0.3)

    assert (2, 1) == (len(came), len(set(came)))
