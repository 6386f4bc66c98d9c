"""Which deliveries are made, held and given up: the endpoint and the event as they are at send."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.egress.scripted import serving
from tests.handlers import desk
from tests.handlers.desk import Desk, Target, says
from tests.proofs import proves


@pytest.mark.parametrize(
    ("answer", "reason"), [(says(410), "gone"), (says(200, "webhook-delivery: disable"), "control")]
)
async def test_a_target_that_is_gone_is_disabled_and_gets_nothing_more(
    post: Desk, target: Target, answer: bytes, reason: str
) -> None:
    target.answers = [answer]
    endpoint = await post.endpoint(target.url, concurrency=1)
    waiting = [await post.delivery() for _ in range(2)]
    async with post.at_work():
        await post.crew.attempt(waiting[0])
        later = await post.deliveries(await post.publish())
        health = await post.health(endpoint)

    assert ("disabled", reason, "endpoint") == (
        health["state"],
        health["disabled_reason"],
        health["closed_reason"],
    )
    assert timedelta(days=6.9) < timedelta(seconds=health["closed"]) <= timedelta(days=7)
    assert [] == later
    assert 1 == len(target.got)
    assert "completed" not in await post.crew.outcomes(waiting[1])


async def test_deliveries_of_a_disabled_endpoint_are_held_and_go_on_when_it_is_enabled(
    post: Desk, target: Target
) -> None:
    endpoint = await post.endpoint(target.url)
    job = await post.delivery()
    await post.change(endpoint, url=target.url, state="disabled")
    await post.endpoint(target.url, types=["other"])
    async with post.at_work():
        await post.crew.attempt((await post.deliveries(await post.publish(type_="other")))[0])
        held = await post.crew.attempts(job)
        await post.change(endpoint, url=target.url, state="enabled")
        attempt = await post.crew.attempt(job, "completed")

    assert ([], 1) == (held, attempt["attempt"])


async def test_a_delivery_in_hand_when_its_endpoint_is_disabled_spends_nothing(
    post: Desk, target: Target
) -> None:
    endpoint = await post.endpoint(target.url)
    job = await post.delivery()
    # The queue is not closed: as if it had been claimed a moment before.
    await post.do(
        "update outbox.endpoints set state = 'disabled', disabled_at = outbox.clock() where id = %s", endpoint
    )
    async with post.at_work():
        attempt = await post.crew.attempt(job)

    assert ("snoozed", []) == (attempt["outcome"], target.got)
    held = await post.crew.rows("select held, attempt from outbox.later where job_id = %s", job)
    assert [{"held": "endpoint", "attempt": 0}] == held
    assert "endpoint" == (await post.health(endpoint))["closed_reason"]


async def test_after_seven_days_what_waits_for_a_disabled_endpoint_is_cancelled(
    post: Desk, target: Target
) -> None:
    endpoint = await post.endpoint(target.url)
    job = await post.delivery()
    await post.do(
        "update outbox.endpoints set state = 'disabled', disabled_at = outbox.clock() - interval '7 days'"
        " where id = %s",
        endpoint,
    )
    async with post.at_work():
        attempt = await post.crew.attempt(job)

    assert ("cancelled", "endpoint_disabled", []) == (attempt["outcome"], attempt["class"], target.got)


@proves("D1")
async def test_after_an_endpoint_is_deleted_it_is_not_called(post: Desk, target: Target) -> None:
    endpoint = await post.endpoint(target.url)
    job = await post.delivery()
    await post.remove(endpoint)
    # Its queue is closed; this is one that was claimed a moment before.
    await post.do("update outbox.queues set closed_until = null")
    async with post.at_work():
        attempt = await post.crew.attempt(job)

    assert ("cancelled", "endpoint_deleted", []) == (attempt["outcome"], attempt["class"], target.got)
    assert [] == await post.crew.where(job)


async def test_an_expunged_event_is_not_sent(post: Desk, target: Target) -> None:
    await post.endpoint(target.url)
    job = await post.delivery()
    await post.do("update outbox.events set expunged_at = outbox.clock(), payload = '{}'")
    async with post.at_work():
        attempt = await post.crew.attempt(job)

    assert ("cancelled", "expunged", []) == (attempt["outcome"], attempt["class"], target.got)


async def test_an_event_of_another_project_is_not_sent(post: Desk, target: Target) -> None:
    await post.endpoint(target.url)
    job = await post.delivery()
    await post.do("update outbox.events set project_id = gen_random_uuid()")
    async with post.at_work():
        attempt = await post.crew.attempt(job)

    assert ("cancelled", []) == (attempt["outcome"], target.got)


@proves("D1")
async def test_receivers_are_fixed_at_publish_and_the_address_is_read_at_send(
    post: Desk, target: Target
) -> None:
    async with post.target() as moved, post.target() as added:
        endpoint = await post.endpoint(target.url)
        event = await post.publish()
        await post.endpoint(added.url)
        await post.change(endpoint, url=moved.url, headers={"x-new": "1"}, timeoutMs=60_000)
        (job,) = await post.deliveries(event)
        async with post.at_work():
            await post.crew.attempt(job, "completed")

    assert (0, 1, 0) == (len(target.got), len(moved.got), len(added.got))
    assert "1" == moved.got[0].headers["x-new"]


async def test_a_longer_time_given_meanwhile_is_had(post: Desk) -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        await asyncio.sleep(1.3)
        writer.write(desk.NOTHING)

    async with serving(act) as server:
        url = f"http://127.0.0.1:{server.port}/"
        endpoint = await post.endpoint(url, timeoutMs=1000)
        job = await post.delivery()
        await post.change(endpoint, url=url, timeoutMs=5000)
        async with post.at_work():
            attempt = await post.crew.attempt(job)

    assert "completed" == attempt["outcome"]


@proves("D3")
async def test_the_attempt_is_on_record_before_the_call(post: Desk, target: Target) -> None:
    seen: list[Any] = []

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        seen.extend(await post.crew.rows("select attempts from outbox.leases"))
        writer.write(desk.NOTHING)

    async with serving(act) as server, post.at_work():
        await post.endpoint(f"http://127.0.0.1:{server.port}/")
        await post.crew.attempt(await post.delivery())

    assert [{"attempts": [1]}] == seen
