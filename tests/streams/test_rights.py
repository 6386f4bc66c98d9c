"""Rights before the first byte, and again while a stream is open; limits; goodbyes."""

import asyncio
from typing import Any

import msgspec
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.api import flows
from outboxd.store import keys, stream_tokens, tenants
from tests import seed
from tests.proofs import proves
from tests.seed import OPERATOR
from tests.streams import pods, reading
from tests.streams.pods import Pod
from tests.waiting import until

Conn = AsyncConnection[DictRow]


async def token(pod: Pod, tenant: seed.Tenant, **body: Any) -> str:
    made = await pod.post("/v1/streams/token", tenant.key, body)
    assert made.status_code == 201, made.text
    return str(made.json()["token"])


async def refusal(pod: Pod, project: object, query: str = "", key: str | None = None) -> tuple[int, str]:
    async with reading.opened(pod.port, f"/v1/projects/{project}/stream{query}", key) as stream:
        body = await stream.body() if stream.status != 200 else b"{}"
        assert stream.status != 200 or stream.headers["content-type"] == "text/event-stream"
        return stream.status, msgspec.json.decode(body).get("error", "")


@proves("F7")
async def test_another_tenant_sees_no_byte_with_key_or_token(
    pod: Pod, conn: Conn, tenant: seed.Tenant
) -> None:
    stranger = await seed.tenant(conn, "stranger")
    sibling = await tenants.make_project(conn, OPERATOR, tenant.team, "sibling")
    _, whole = await seed.key(conn, tenant.team, "streams:read")
    _, blind = await seed.key(conn, tenant.team, "events:write", project=tenant.project)
    own, theirs = await token(pod, tenant), await token(pod, stranger)
    await pods.publish(conn, tenant.project, 3, "secret")
    there = tenant.project
    cases: tuple[tuple[str | None, object, str, int], ...] = (
        (None, there, "", 401), ("obx_unknown", there, "", 403), (blind, there, "", 403),
        (stranger.key, there, "", 404), (tenant.key, stranger.project, "", 404),
        (tenant.key, sibling, "", 403),
        (whole, sibling, "", 200), (whole, there, "", 200), (whole, stranger.project, "", 404),
        (None, there, f"?token={theirs}", 404), (None, stranger.project, f"?token={own}", 404),
        (None, sibling, f"?token={own}", 403), (None, there, "?token=obt_unknown", 403),
        (None, there, f"?token={tenant.key}", 403), (None, there, "?token=", 403),
        (None, there, f"?token={own}", 200),
        # A token opens less than a key, and wins over it.
        (tenant.key, there, f"?token={theirs}", 404), (tenant.key, "nonsense", "", 404),
    )  # fmt: skip
    for key, project, query, wanted in cases:
        status, _ = await refusal(pod, project, query, key)
        assert wanted == status, (key, project, query)
        for path in ("feed", "position") if not query and key is not None else ():
            reply = await pod.get(f"/v1/projects/{project}/{path}", key or "")
            assert wanted == reply.status_code, (key, project, path)
            assert wanted == 200 or "secret" not in reply.text


@proves("F7")
async def test_a_token_opens_nothing_else(pod: Pod, tenant: seed.Tenant) -> None:
    secret = await token(pod, tenant)
    for path in (f"/v1/projects/{tenant.project}/feed", "/v1/events", "/v1/me"):
        assert 403 == (await pod.get(path, secret)).status_code
    refused = await pod.get(f"/v1/projects/{tenant.project}/feed", tenant.key, token=secret)
    assert 400 == refused.status_code


async def test_the_filters_of_a_token_hold_besides_those_of_the_query(pod: Pod, tenant: seed.Tenant) -> None:
    secret = await token(pod, tenant, types=["a.*"], subject="s*")
    async with pod.stream(tenant, f"token={secret}&type=a.x&type=b") as stream:
        await stream.message()
        await pod.publish(tenant, "b", subject="s1")
        await pod.publish(tenant, "a.x", subject="other")
        await pod.publish(tenant, "a.z", subject="s1")
        wanted = await pod.publish(tenant, "a.x", subject="s1")
        assert wanted == (await stream.event()).json["id"]


async def test_an_expired_token_opens_nothing_and_is_swept(pod: Pod, conn: Conn, tenant: seed.Tenant) -> None:
    secret = await token(pod, tenant, ttlSeconds=30)
    async with pod.stream(tenant, f"token={secret}") as stream:
        await stream.message()
        await conn.execute("update outbox.stream_tokens set expires_at = now() - interval '1 s'")
        assert (403, "Forbidden") == await refusal(pod, tenant.project, f"?token={secret}")
        # What is open outlives it.
        await pod.publish(tenant)
        await stream.event()
    assert 1 == await stream_tokens.forget(conn)


async def test_a_key_has_at_most_a_thousand_tokens(pod: Pod, conn: Conn, tenant: seed.Tenant) -> None:
    await conn.execute(
        "insert into outbox.stream_tokens (hash, key_id, team_id, project_id, expires_at, created_at)"
        " select sha256(g::text::bytea), %s, %s, %s, now() + interval '1 h', now()"
        " from generate_series(1, 1000) g",
        (tenant.key_id, tenant.team, tenant.project),
    )
    made = await pod.post("/v1/streams/token", tenant.key, {})
    assert (409, "LimitReached") == (made.status_code, made.json()["error"])


@pytest.mark.parametrize(
    "body", [{"ttlSeconds": 29}, {"ttlSeconds": 3601}, {"types": []}, {"types": ["a*b"]}, {"sessionId": "x"},
             {"subject": ""}, {"unknown": 1}],
)  # fmt: skip
async def test_a_token_is_asked_for_in_the_right_way(body: Any, pod: Pod, tenant: seed.Tenant) -> None:
    assert 400 == (await pod.post("/v1/streams/token", tenant.key, body)).status_code


@proves("F7")
async def test_revocation_ends_open_streams_by_key_and_by_token(
    pod: Pod, conn: Conn, tenant: seed.Tenant
) -> None:
    """At once where the hint arrives; else with the next look, each 30 s."""
    key_id, key = await seed.key(conn, tenant.team, "streams:read", project=tenant.project)
    made = await pod.post("/v1/streams/token", key, {})
    async with (
        pod.stream(tenant, key=key) as by_key,
        pod.stream(tenant, f"token={made.json()['token']}") as by_token,
        pod.stream(tenant) as other,
    ):
        for stream in (by_key, by_token, other):
            await stream.message()
        await keys.revoke(conn, OPERATOR, key_id)
        await pod.api.standing.once()
        for stream in (by_key, by_token):
            told = await stream.event()
            assert ("outboxd.close", {"reason": "unauthorized"}) == (told.event, told.json)
            assert await stream.message() is None
        await pod.publish(tenant)
        await other.event()


@proves("F7")
async def test_an_expired_key_or_one_without_the_scope_loses_its_streams(
    pod: Pod, conn: Conn, tenant: seed.Tenant
) -> None:
    expired, first = await seed.key(conn, tenant.team, "streams:read")
    narrowed, second = await seed.key(conn, tenant.team, "streams:read")
    async with pod.stream(tenant, key=first) as one, pod.stream(tenant, key=second) as two:
        await one.message()
        await two.message()
        await conn.execute("update outbox.keys set expires_at = now() where id = %s", (expired,))
        await conn.execute("update outbox.keys set scopes = '{jobs:read}' where id = %s", (narrowed,))
        await pod.api.standing.once()
        for stream in (one, two):
            assert {"reason": "unauthorized"} == (await stream.event()).json


@proves("F8")
async def test_limits_are_said_aloud(dsn: str, conn: Conn, tenant: seed.Tenant) -> None:
    async with pods.pod(dsn, STREAMS="3", STREAMS_PER_KEY="2") as pod:
        _, other = await seed.key(conn, tenant.team, "streams:read")
        async with pod.stream(tenant), pod.stream(tenant):
            async with pod.stream(tenant) as stream:
                refused = msgspec.json.decode(await stream.body())
                assert (429, "rate_limited", "5") == (
                    stream.status,
                    refused["error"],
                    stream.headers["retry-after"],
                )
            waiting = await pod.get(f"/v1/projects/{tenant.project}/feed", tenant.key, wait=5, after="latest")
            assert 429 == waiting.status_code
            async with pod.stream(tenant, key=other), pod.stream(tenant, key=other) as stream:
                refused = msgspec.json.decode(await stream.body())
                assert (503, "Overloaded") == (stream.status, refused["error"])
        await until(lambda: not pod.hub.tails)
        async with pod.stream(tenant) as stream:
            assert 200 == stream.status


@proves("F8")
async def test_a_process_that_stops_says_goodbye_and_when_to_come_again(
    pod: Pod, tenant: seed.Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows, "_SPREAD", 0.2)
    async with pod.stream(tenant) as stream, pod.stream(tenant) as other:
        await stream.message()
        await other.message()
        waiting = asyncio.create_task(
            pod.get(f"/v1/projects/{tenant.project}/feed", tenant.key, wait=20, after="latest")
        )
        await asyncio.sleep(0.1)
        pod.served.ready.draining = True
        for each in (stream, other):
            told = await each.event()
            assert ("outboxd.close", {"reason": "draining"}) == (told.event, told.json)
            assert 0 <= (each.retry or 0) <= 5000
            assert await each.message() is None
        assert (200, []) == ((reply := await waiting).status_code, reply.json()["events"])
        async with pod.stream(tenant) as late:
            refused = msgspec.json.decode(await late.body())
            assert (503, "ShuttingDown") == (late.status, refused["error"])


async def test_a_deleted_project_is_gone(pod: Pod, conn: Conn, tenant: seed.Tenant) -> None:
    async with pod.stream(tenant) as stream:
        await stream.message()
        await conn.execute("delete from outbox.streams where project_id = %s", (tenant.project,))
        told = await stream.event()
        assert {"reason": "gone"} == told.json
    async with pod.stream(tenant) as stream:
        assert 404 == stream.status
