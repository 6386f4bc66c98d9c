"""What it is for: events go in, and come out as webhooks, SQL effects and Python calls."""

import time

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from outboxd.cli.demo import events, shop
from outboxd.cli.demo.sight import until
from outboxd.cli.demo.stage import Step, expect, span
from outboxd.cli.demo.world import World

_BATCH = 40


async def one_event(world: World, step: Step) -> None:
    started = time.monotonic()
    event = await world.publish(events.activity(0))
    accepted = time.monotonic()
    await until(world.place, "the webhook", lambda: bool(world.receiver.accepted(event)))
    world.activities += 1
    [call] = world.receiver.accepted(event)
    expect(call.data == events.activity(0)["payload"], "the webhook carries another payload")
    step.saw(
        f"POST /v1/events → 201 after the commit, {span(accepted - started)}",
        f"webhook there {span(call.at - accepted)} later, signature verified, payload as sent",
    )


async def same_event(world: World, step: Step) -> None:
    answer = await world.post("/v1/events", events.activity(0))
    expect(answer.get("duplicate") is True, "an event that was sent again was taken as a new one")
    step.saw("the same event once more → known by its idempotencyKey, nothing is done twice")


async def batch(world: World, step: Step) -> None:
    failed, started = world.receiver.failed, time.monotonic()
    made = await world.publish_batch([events.activity(n) for n in range(1, _BATCH + 1)])
    accepted = time.monotonic()
    world.activities += len(made)
    await until(world.place, "every webhook of the batch", lambda: all(map(world.receiver.accepted, made)))
    expect(world.receiver.forged == 0, "a signature did not hold")
    refused = world.receiver.failed - failed
    expect(refused > 0, "the receiver failed no call: retries were not seen")
    step.saw(
        f"{_BATCH} events in one request → 201, {span(accepted - started)}",
        f"{_BATCH} webhooks verified; {refused} calls were answered 503 on purpose and made again",
    )


async def rolled_back(world: World, step: Step) -> None:
    async with await _till(world) as conn, conn.transaction(force_rollback=True):
        world.rolled_back = await shop.order(conn, 1, "kettle")
    left = await world.sight.traces(world.rolled_back)
    expect(left == 0, f"a transaction that rolled back left {left} rows")
    step.saw("begin; insert into orders …; select outbox.publish(…); rollback", "no order, no event, no job")


async def committed(world: World, step: Step) -> None:
    async with await _till(world) as conn:
        async with conn.transaction():
            event = str(await shop.order(conn, 1, "kettle"))
        done = time.monotonic()
    await until(world.place, "the order's webhook", lambda: bool(world.receiver.accepted(event)))
    [call] = world.receiver.accepted(event)
    again = f" (attempt {call.attempt})" if call.attempt not in {None, "1"} else ""
    step.saw("the same, committed", f"order.paid delivered {span(call.at - done)} after the commit{again}")


async def sql_effects(world: World, step: Step) -> None:
    wanted = (world.activities, world.activities)

    async def counted() -> bool:
        return (await world.sight.effects("activity"))[1] >= world.activities

    await until(world.place, f"the SQL handler to count {world.activities} events", counted)
    found = await world.sight.effects("activity")
    expect(found == wanted, f"{found[0]} rows of {found[1]} events, {world.activities} of each are right")
    step.saw(
        f"{shop.ACTIVITY} wrote {found[0]} rows for {found[1]} events: each once,",
        "in the transaction that completes its job",
    )


async def python_calls(world: World, step: Step) -> None:
    wanted = (world.activities, world.activities)

    async def noted() -> bool:
        return (await world.sight.effects("notes"))[1] >= world.activities

    await until(world.place, f"the Python handler to note {world.activities} events", noted)
    found = await world.sight.effects("notes")
    expect(found == wanted, f"{found[0]} rows of {found[1]} events, {world.activities} of each are right")
    pids = await world.sight.doers("notes")
    expect(pids <= set(world.workers), "somebody else than the workers ran a handler")
    step.saw(f"async def note(job, run) ran {found[0]} times, in {_processes(pids)}; its writes: each once")


async def _till(world: World) -> "AsyncConnection[psycopg.rows.DictRow]":
    """The shop's own program: its own login, nothing of outboxd imported."""
    return await AsyncConnection.connect(world.shop_dsn, autocommit=True, row_factory=dict_row)


def _processes(pids: set[int]) -> str:
    return "both workers" if len(pids) > 1 else f"worker {next(iter(pids))}"
