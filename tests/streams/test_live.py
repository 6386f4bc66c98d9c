"""Server-Sent Events as they are on the wire."""

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from tests import seed
from tests.streams.pods import Pod, seq

Conn = AsyncConnection[DictRow]


async def test_an_event_that_is_published_reaches_an_open_stream(pod: Pod, tenant: seed.Tenant) -> None:
    async with pod.stream(tenant) as stream:
        opening = await stream.message()
        event = await pod.publish(tenant, "order.paid", payload={"n": 1})
        got = await stream.event()

    assert opening is not None
    assert "outboxd.checkpoint" == opening.event
    assert opening.id == opening.json["head"]
    assert 0 == seq(opening.id)
    assert 2000 <= (stream.retry or 0) <= 5000
    assert (event, "order.paid", {"n": 1}) == (got.json["id"], got.json["eventType"], got.json["payload"])
    assert got.id == got.json["position"]
    assert ("text/event-stream", "no-store", "no") == (
        stream.headers["content-type"],
        stream.headers["cache-control"],
        stream.headers["x-accel-buffering"],
    )
