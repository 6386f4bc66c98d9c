"""A target that fails rests, is tried one delivery at a time, and in the end gets nothing more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from outboxd import telemetry
from tests.clock import Clock
from tests.egress.scripted import Server, serving
from tests.handlers.desk import Desk, Post, Target, says
from tests.proofs import proves
from tests.waiting import until

# So slow that a worker is not silent when the clock is moved.
SLOW = timedelta(seconds=10)
FAIL = says(500)


async def told(post: Desk) -> list[tuple[str, dict[str, Any]]]:
    """What we said of endpoints and deliveries, in its order."""
    rows = await post.crew.rows(
        "select type, payload from outbox.events where adapter = 'outboxd' order by received_at, id"
    )
    return [(row["type"], row["payload"]) for row in rows]


async def names(post: Desk) -> list[str]:
    return [type_ for type_, _ in await told(post)]


async def breaker(post: Desk, endpoint: UUID) -> dict[str, Any]:
    (row,) = await post.crew.rows(
        """
        select e.consecutive_failures as failures, e.first_failure_at, e.trips, e.state, e.disabled_reason,
          q.probing, q.closed_until,
          coalesce(extract(epoch from q.closed_until - outbox.clock()), 0)::float8 as closed
        from outbox.endpoints e join outbox.queues q on q.id = e.queue_id where e.id = %s
        """,
        endpoint,
    )
    return row


async def fail(post: Desk, times: int) -> None:
    """Deliveries that fail, one after the other."""
    for _ in range(times):
        await post.crew.attempt(await post.delivery(), limit=5)


async def let_in(post: Desk) -> None:
    """As if its rest were over."""
    await post.do("update outbox.queues set closed_until = outbox.clock() where closed_until is not null")


@proves("D6")
async def test_at_the_fifth_failure_in_a_row_it_rests_for_a_minute_and_what_waits_spends_nothing(
    post: Desk, target: Target
) -> None:
    target.answers = [FAIL]
    endpoint = await post.endpoint(target.url)
    opened = telemetry.reading(telemetry.BREAKER_OPENED_TOTAL)
    async with post.at_work():
        await fail(post, 4)
        before = await breaker(post, endpoint)
        assert telemetry.reading(telemetry.BREAKER_OPENED_TOTAL) == opened
        await fail(post, 1)
        waiting = [await post.delivery() for _ in range(3)]
        async with post.target() as neighbour:
            await post.endpoint(neighbour.url, types=["other"])
            await post.crew.attempt((await post.deliveries(await post.publish(type_="other")))[-1])
        after = await breaker(post, endpoint)
        spent = [await post.crew.attempts(job) for job in waiting]

    assert (4, 0, False, 0) == (before["failures"], before["trips"], before["probing"], before["closed"])
    assert (5, 1, True) == (after["failures"], after["trips"], after["probing"])
    assert 45 < after["closed"] <= 72
    assert telemetry.reading(telemetry.BREAKER_OPENED_TOTAL) == opened + 1
    assert ([[], [], []], 5) == (spent, len(target.got))
    ((type_, payload),) = await told(post)
    assert ("endpoint.failing", str(endpoint), 5, "server_error", 500) == (
        type_,
        payload["endpointId"],
        payload["failures"],
        payload["class"],
        payload["lastStatus"],
    )


class Slow(Target):
    """Answers nothing by itself: whoever waits the longest gets what is put into `said`."""

    def __init__(self) -> None:
        super().__init__()
        self.said: asyncio.Queue[bytes] = asyncio.Queue()

    async def act(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            self.got.append(Post("/hook", {}, await self.server.request(reader)))
            writer.write(await self.said.get())
            await writer.drain()


@proves("D6")
async def test_failures_with_a_success_between_them_are_not_five_in_a_row_though_all_were_sent_before(
    post: Desk,
) -> None:
    target = Slow()
    async with serving(target.act) as target.server, post.at_work():
        endpoint = await post.endpoint(target.url, concurrency=6)
        # One that was well before has no news to tell of a success.
        target.said.put_nowait(says(204))
        await post.crew.attempt(await post.delivery())
        jobs = [await post.delivery() for _ in range(6)]
        await until(lambda: len(target.got) == 1 + 6)
        for n, answer in enumerate([FAIL, FAIL, FAIL, FAIL, says(204), FAIL], 1):
            target.said.put_nowait(answer)

            async def told_of(n: int = n) -> bool:
                return sum([len(await post.crew.attempts(job)) for job in jobs]) == n

            await until(told_of)
        row = await breaker(post, endpoint)

    assert (1, 0, 0) == (row["failures"], row["trips"], row["closed"])
    assert [] == await told(post)


@proves("D6")
async def test_after_each_trip_one_delivery_tries_it_and_the_rest_doubles_up_to_a_quarter_of_an_hour(
    post: Desk, target: Target
) -> None:
    target.answers = [FAIL]
    endpoint = await post.endpoint(target.url)
    rests = []
    async with post.at_work():
        await fail(post, 5)
        waiting = [await post.delivery() for _ in range(8)]
        for n in range(6):
            rests.append((await breaker(post, endpoint))["closed"])
            await let_in(post)
            await until(lambda n=n: len(target.got) == 6 + n)
            await until(lambda: closed(post, endpoint))
        rests.append((await breaker(post, endpoint))["closed"])
        spent = sum([len(await post.crew.attempts(job)) for job in waiting])

    for rest, seconds in zip(rests, (60, 120, 240, 480, 900, 900, 900), strict=True):
        assert seconds * 0.75 < rest <= seconds * 1.2
    assert (6, 11) == (spent, len(target.got)), "its backlog spends as many attempts as it was tried"
    assert ["endpoint.failing"] == await names(post), "said at the first trip"


async def closed(post: Desk, endpoint: UUID) -> bool:
    return float((await breaker(post, endpoint))["closed"]) > 0


@asynccontextmanager
async def slow_target(status: list[int], held: asyncio.Event) -> AsyncIterator[tuple[Server, list[int]]]:
    """Answers when `held` is set; the list tells how many calls were in flight at each."""
    seen: list[int] = []
    flying = 0

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal flying
        while True:
            await server.request(reader)
            flying += 1
            seen.append(flying)
            await held.wait()
            flying -= 1
            writer.write(says(status[0]))
            await writer.drain()

    async with serving(act) as server:
        yield server, seen


async def test_it_is_tried_by_one_delivery_at_a_time_until_one_succeeds_which_clears_everything(
    post: Desk,
) -> None:
    held, status = asyncio.Event(), [500]
    held.set()
    async with slow_target(status, held) as (server, seen):
        endpoint = await post.endpoint(f"http://127.0.0.1:{server.port}/")
        async with post.at_work():
            await fail(post, 5)
        # The breaker is a row: whoever comes next knows it.
        async with post.at_work():
            held.clear()
            seen.clear()
            waiting = [await post.delivery() for _ in range(6)]
            await let_in(post)
            await until(lambda: bool(seen))
            await asyncio.sleep(0.3)
            alone = list(seen)
            status[0] = 204
            held.set()
            for job in waiting:
                await post.crew.attempt(job, "completed")
            held.clear()
            seen.clear()
            waiting = [await post.delivery() for _ in range(3)]
            await until(lambda: len(seen) == 3)
            held.set()
        after = await breaker(post, endpoint)

    assert [1] == alone
    assert [1, 2, 3] == seen, "then as many as its concurrency"
    assert (0, None, 0, False) == (
        after["failures"],
        after["first_failure_at"],
        after["trips"],
        after["probing"],
    )
    assert ["endpoint.failing", "endpoint.recovered"] == await names(post)


async def test_an_answer_that_says_nothing_of_the_target_neither_trips_nor_clears_it(
    post: Desk, target: Target
) -> None:
    target.answers = [FAIL, FAIL, says(413), says(500, "webhook-delivery: abort-message"), FAIL]
    endpoint = await post.endpoint(target.url)
    async with post.at_work():
        await fail(post, 5)
        row = await breaker(post, endpoint)

    assert (3, 0) == (row["failures"], row["closed"])


# In the end -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hours", "apart", "disabled"),
    [(1, 11.9, False), (1, 12.1, True), (120, 119.9, False), (120, 120.1, True), (0, 720, False)],
)
async def test_it_is_disabled_after_its_hours_of_failures_twelve_at_least(
    post: Desk, target: Target, clock: Clock, hours: int, apart: float, disabled: bool
) -> None:
    target.answers = [FAIL]
    endpoint = await post.endpoint(target.url, disableAfterHours=hours, retrySchedule=[0])
    async with post.crew.at_work([post.handler], beat=SLOW):
        await fail(post, 1)
    clock.forward(timedelta(hours=apart))
    # Another process, at another time: what it goes by is in the row.
    async with post.crew.at_work([post.handler], beat=SLOW):
        await fail(post, 1)
    row = await breaker(post, endpoint)

    assert (("disabled", "failures") if disabled else ("enabled", None)) == (
        row["state"],
        row["disabled_reason"],
    )
    assert (1 if disabled else 0) == (await names(post)).count("endpoint.disabled")


async def test_a_success_between_keeps_it_enabled(post: Desk, target: Target, clock: Clock) -> None:
    target.answers = [FAIL, says(204), FAIL]
    endpoint = await post.endpoint(target.url, disableAfterHours=12, retrySchedule=[0])
    for _ in range(3):
        async with post.crew.at_work([post.handler], beat=SLOW):
            await fail(post, 1)
        clock.forward(timedelta(hours=10))
    row = await breaker(post, endpoint)

    assert ("enabled", 1) == (row["state"], row["failures"])


async def test_two_workers_that_see_it_worn_out_disable_it_once(
    post: Desk, target: Target, clock: Clock
) -> None:
    target.answers = [FAIL]
    endpoint = await post.endpoint(target.url, disableAfterHours=12)
    async with post.crew.at_work([post.handler], beat=SLOW):
        await fail(post, 1)
    clock.forward(timedelta(hours=13))
    waiting = [await post.delivery() for _ in range(4)]
    async with (
        post.crew.at_work([post.handler], beat=SLOW, slots=2),
        post.crew.at_work([post.handler], beat=SLOW, slots=2),
    ):
        await until(lambda: disabled(post, endpoint))
    outcomes = [await post.crew.outcomes(job) for job in waiting]

    assert ["endpoint.disabled"] == await names(post)
    assert 1 <= outcomes.count(["failed"]) <= 4
    ((_, payload),) = await told(post)
    assert ("failures", 500, "server_error") == (payload["trigger"], payload["lastStatus"], payload["class"])


async def disabled(post: Desk, endpoint: UUID) -> bool:
    return bool((await breaker(post, endpoint))["state"] == "disabled")


async def test_enabled_again_it_has_no_failures_and_is_tried_by_one(post: Desk, target: Target) -> None:
    target.answers = [FAIL]
    endpoint = await post.endpoint(target.url)
    async with post.at_work():
        await fail(post, 5)
    await post.change(endpoint, url=target.url, state="disabled")
    held = await breaker(post, endpoint)
    await post.change(endpoint, url=target.url, state="enabled")
    row = await breaker(post, endpoint)

    assert ("disabled", "operator", False) == (held["state"], held["disabled_reason"], held["probing"])
    assert ("enabled", 0, 0, True, None) == (
        row["state"],
        row["failures"],
        row["trips"],
        row["probing"],
        row["closed_until"],
    )
    assert ["endpoint.failing", "endpoint.disabled", "endpoint.enabled"] == await names(post)


async def test_what_waits_for_a_disabled_endpoint_is_held_seven_days_and_then_cancelled(
    post: Desk, target: Target, clock: Clock
) -> None:
    target.answers = [says(410)]
    await post.endpoint(target.url, concurrency=1, maxAgeSeconds=2_592_000)
    first, waiting = await post.delivery(), await post.delivery()
    spent = []
    for days in (0, 6.9, 0.2):
        clock.forward(timedelta(days=days))
        async with post.crew.at_work([post.handler], beat=SLOW):
            await until(lambda days=days: quiet(post, done=1 if days != 0.2 else 2))
        spent.append(sorted([*await post.crew.outcomes(first), *await post.crew.outcomes(waiting)]))

    assert [["failed"], ["failed"], ["cancelled", "failed"]] == spent
    classes = await post.crew.rows("select class from outbox.attempts order by at")
    assert ["gone", "endpoint_disabled"] == [row["class"] for row in classes]
    assert 1 == len(target.got)


async def quiet(post: Desk, done: int) -> bool:
    """So many attempts, and time for another."""
    await asyncio.sleep(0.2)
    return bool(done == await post.crew.value("select count(*) from outbox.attempts"))


async def test_disabled_in_mid_batch_nothing_more_is_called_but_what_was_in_flight(post: Desk) -> None:
    held = asyncio.Event()
    async with slow_target([204], held) as (server, seen):
        endpoint = await post.endpoint(f"http://127.0.0.1:{server.port}/", concurrency=2)
        waiting = [await post.delivery() for _ in range(6)]
        async with post.at_work():
            await until(lambda: len(seen) == 2)
            await post.change(endpoint, url=f"http://127.0.0.1:{server.port}/", state="disabled")
            held.set()
            await until(lambda: completed(post, waiting, 2))
            await asyncio.sleep(0.3)

    assert 2 == len(seen)


async def completed(post: Desk, jobs: list[UUID], n: int) -> bool:
    return sum([(await post.crew.outcomes(job)) == ["completed"] for job in jobs]) == n


# What is told ---------------------------------------------------------------------------------------------


async def test_a_delivery_that_is_given_up_is_told(post: Desk, target: Target) -> None:
    target.answers = [FAIL]
    endpoint = await post.endpoint(target.url, retrySchedule=[0, 5])
    async with post.at_work():
        event = await post.publish()
        (job,) = await post.deliveries(event)
        await until(lambda: tried(post, job, 1))
        await post.crew.hurry_up()
        await until(lambda: tried(post, job, 2))

    assert [
        (
            "delivery.exhausted",
            {
                "endpointId": str(endpoint),
                "eventId": str(event),
                "jobId": str(job),
                "attempts": 2,
                "class": "server_error",
                "lastStatus": 500,
            },
        )
    ] == await told(post)


async def tried(post: Desk, job: UUID, n: int) -> bool:
    return len(await post.crew.attempts(job)) == n


async def test_a_delivery_that_may_not_be_sent_is_told(post: Desk, target: Target) -> None:
    await post.endpoint(target.url)
    await post.do("update outbox.projects set egress = false where id = %s", post.crew.project)
    async with post.at_work():
        await post.crew.attempt(await post.delivery())

    ((type_, payload),) = await told(post)
    assert ("delivery.blocked", "blocked", 1) == (type_, payload["class"], payload["attempts"])


@proves("D7")
async def test_what_is_said_of_an_endpoint_never_reaches_it_and_what_becomes_of_it_is_told_by_no_event(
    post: Desk, target: Target
) -> None:
    async with post.target(FAIL) as watcher:
        target.answers = [FAIL]
        sick = await post.endpoint(target.url, types=["*"], retrySchedule=[0])
        await post.endpoint(watcher.url, types=["endpoint.*", "delivery.*"], retrySchedule=[0])
        async with post.at_work():
            for _ in range(5):
                event = await post.publish()
                (job,) = await post.deliveries(event)
                await post.crew.attempt(job)
            await until(lambda: len(watcher.got) >= 5)
            await until(lambda: nothing_runs(post))

    said = await told(post)
    assert sorted(["delivery.exhausted"] * 5 + ["endpoint.failing"]) == sorted(type_ for type_, _ in said)
    assert {str(sick)} == {payload["endpointId"] for _, payload in said}
    assert 5 == len(target.got), "only the orders"


async def nothing_runs(post: Desk) -> bool:
    return [] == await post.crew.rows("select id from outbox.leases")


async def test_an_endpoint_that_is_deleted_while_it_answers_takes_nothing_with_it(post: Desk) -> None:
    held = asyncio.Event()
    async with slow_target([500], held) as (server, seen):
        endpoint = await post.endpoint(f"http://127.0.0.1:{server.port}/")
        job = await post.delivery()
        async with post.at_work():
            await until(lambda: len(seen) == 1)
            await post.remove(endpoint)
            held.set()
            attempt = await post.crew.attempt(job)

    assert ("failed", "server_error") == (attempt["outcome"], attempt["class"])
    assert [] == await told(post)
