"""What clients of others make of our frames."""

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path

import httpx
import httpx_sse
import msgspec
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.api import streams
from tests import seed
from tests.streams.pods import Pod, seq

Conn = AsyncConnection[DictRow]

TEXTS = ("ä€😀", "a\u2028b\u2029c", "line\nfeed\r\nreturn\r", 'quote"back\\slash', "data: x\n\nid: 7", "")


async def test_a_line_is_never_broken_by_what_an_event_says(pod: Pod, tenant: seed.Tenant) -> None:
    async with pod.stream(tenant) as stream:
        for text in TEXTS:
            await pod.publish(tenant, payload={"text": text}, metadata={"text": text})
        got = await stream.events(len(TEXTS))
    assert list(TEXTS) == [each.json["payload"]["text"] for each in got]
    assert b"\r" not in stream.raw
    assert not stream.raw.startswith(b"\xef\xbb\xbf")
    assert all(b'": ' not in line for line in bytes(stream.raw).split(b"\n") if line.startswith(b"data:"))


async def test_the_frames_are_those_of_the_page(pod: Pod, tenant: seed.Tenant) -> None:
    async with pod.stream(tenant, "named=true") as stream:
        await pod.publish(tenant, "order.paid")
        got = await stream.event()
        text = bytes(stream.raw).decode()
    assert "order.paid" == got.event
    position = got.id
    epoch = (position or "").partition("-")[0]
    opening, event = text.split("\n\n", 1)
    retry, _, opening = opening.partition("\n")
    assert retry.startswith("retry: ")
    assert f'event: outboxd.checkpoint\nid: {epoch}-0\ndata: {{"head":"{epoch}-0"}}' == opening
    assert event.startswith(f"event: order.paid\nid: {epoch}-1\ndata: {{")
    assert event.endswith("}\n\n")


async def test_a_silent_stream_is_kept_alive_without_a_message(
    pod: Pod, tenant: seed.Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "KEEPALIVE", 0.05)
    async with pod.stream(tenant) as stream:
        opening = await stream.message()
        with pytest.raises(TimeoutError):
            await stream.message(timeout=0.4)
        await pod.publish(tenant)
        got = await stream.event()
    assert opening is not None
    assert 1 == seq(got.id)
    silent = bytes(stream.raw).split(b"\n\n")[1]
    assert silent.startswith(b":\n:\n:\n")


async def test_a_stream_has_its_age_and_says_so(
    pod: Pod, tenant: seed.Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "AGE", 0.2)
    async with pod.stream(tenant) as stream:
        told = await stream.event()
        assert ("outboxd.close", None, {"reason": "age"}) == (told.event, told.id, told.json)
        assert await stream.message() is None


async def test_a_large_payload_is_referred_to(pod: Pod, tenant: seed.Tenant) -> None:
    async with pod.stream(tenant) as stream:
        for size in (1, 8 * 1024, 100 * 1024, 256 * 1024 - 16, 256 * 1024, 1024 * 1024):
            event = await pod.publish(tenant, payload={"t": "x" * size})
            got = (await stream.event()).json
            if size < 256 * 1024:
                assert ("x" * size, None) == (got["payload"]["t"], got.get("dataref"))
            else:
                assert (None, f"/v1/events/{event}") == (got["payload"], got["dataref"])
    many = [each["payload"] is None for each in (await pod.feed(tenant))["events"]]
    assert [False, False, False, False, True, True] == many


async def test_events_are_shown_as_cloudevents(pod: Pod, tenant: seed.Tenant) -> None:
    async with pod.stream(tenant, "format=cloudevents") as stream:
        event = await pod.publish(
            tenant, "order.paid", payload={"n": 1}, subject="order/1", orderingKey="k", occurredAtEpoch=1000
        )
        got = await stream.event()
    (page,) = (await pod.feed(tenant, format="cloudevents"))["events"]
    assert {
        "specversion": "1.0",
        "id": event,
        "source": f"urn:outboxd:project:{tenant.project}",
        "type": "order.paid",
        "subject": "order/1",
        "time": "1970-01-01T00:00:01.000Z",
        "partitionkey": "k",
        "sequence": f"{1:020}",
        "data": {"n": 1},
    } == got.json
    assert got.json == page


@pytest.mark.parametrize(
    "query",
    [
        "type=" + "&type=".join("abcdefghijklmnopqrstu"), "type=", "type=a*b", "type=" + "x" * 256,
        "session=nonsense", "subject=", "subject=" + "x" * 256, "on_gap=never", "format=xml", "named=1",
        "unknown=1", "type=a&unknown=1",
    ],
)  # fmt: skip
async def test_a_bad_parameter_is_400_before_the_stream(query: str, pod: Pod, tenant: seed.Tenant) -> None:
    async with pod.stream(tenant, query) as stream:
        assert 400 == stream.status
        refused = msgspec.json.decode(await stream.body())
    assert refused["errors"][0]["parameter"] == query.rpartition("&")[2].partition("=")[0]


async def test_who_takes_no_event_stream_is_refused(pod: Pod, tenant: seed.Tenant) -> None:
    for accept, status in (
        ("application/json", 406),
        ("text/event-stream;q=0", 406),
        ("*/*", 200),
        ("text/*", 200),
    ):
        async with pod.stream(tenant, accept=accept) as stream:
            assert status == stream.status, accept


async def test_curl_shows_what_is_said(pod: Pod, tenant: seed.Tenant) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("no curl here")
    url = f"http://127.0.0.1:{pod.port}/v1/projects/{tenant.project}/stream"
    made = await asyncio.create_subprocess_exec(
        curl, "-sN", "-H", f"Authorization: Bearer {tenant.key}", url, stdout=subprocess.PIPE
    )
    assert made.stdout is not None
    assert (await made.stdout.readline()).startswith(b"retry: ")
    await pod.publish(tenant, payload={"text": TEXTS[0]})
    try:
        async with asyncio.timeout(5):
            while not (line := await made.stdout.readline()).startswith(b'data: {"id"'):
                continue
        assert TEXTS[0] == json.loads(line[6:])["payload"]["text"]
    finally:
        made.kill()
        await made.wait()


async def test_the_python_client_of_others_reads_ids_texts_and_resumes(
    pod: Pod, conn: Conn, tenant: seed.Tenant
) -> None:
    url = f"http://127.0.0.1:{pod.port}/v1/projects/{tenant.project}/stream"
    headers = {"authorization": f"Bearer {tenant.key}"}
    found, last = list[str](), ""
    async with httpx.AsyncClient(timeout=5) as http:
        for part in (TEXTS[:3], TEXTS[3:]):
            given = headers | ({"last-event-id": last} if last else {})
            async with httpx_sse.aconnect_sse(http, "GET", url, headers=given) as source:
                messages = source.aiter_sse()
                opening = await anext(messages)
                assert "outboxd.checkpoint" == opening.event
                for text in part:
                    await pod.publish(tenant, payload={"text": text})
                async with asyncio.timeout(5):
                    for _ in part:
                        got = await anext(messages)
                        found.append(got.json()["payload"]["text"])
                        last = got.id
                await messages.aclose()
    assert list(TEXTS) == found


async def test_the_client_of_node_reads_ids_texts_and_the_reset(
    pod: Pod, tenant: seed.Tenant, tmp_path: Path
) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here")
    folders = [*os.environ.get("NODE_PATH", "").split(":"), "/usr/lib/node_modules", "/usr/share/nodejs"]
    where = (Path(folder) / "eventsource" for folder in folders if folder)
    given = next((path for path in where if path.exists()), None)
    if given is None:
        pytest.skip("npm eventsource is not installed here")
    script = tmp_path / "read.mjs"
    script.write_text(
        f"""
        import * as m from '{given}/dist/index.js';
        const E = m.EventSource ?? m.default;
        const s = new E(process.argv[2]);
        s.onmessage = e => {{ console.log(JSON.stringify([e.lastEventId, e.data])); }};
        """
    )
    token = (await pod.post("/v1/streams/token", tenant.key, {})).json()
    made = await asyncio.create_subprocess_exec(node, str(script), token["url"], stdout=subprocess.PIPE)
    try:
        await asyncio.sleep(0.5)
        await pod.publish(tenant, payload={"text": TEXTS[1]})
        assert made.stdout is not None
        async with asyncio.timeout(10):
            position, data = json.loads(await made.stdout.readline())
        assert (1, TEXTS[1]) == (seq(position), json.loads(data)["payload"]["text"])
    finally:
        made.kill()
        await made.wait()
