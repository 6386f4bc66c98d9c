"""What happens when something breaks, and what is there to see at the end."""

import time

from outboxd.cli.demo import app, events
from outboxd.cli.demo.sight import until
from outboxd.cli.demo.stage import Step, expect, span
from outboxd.cli.demo.world import World
from outboxd.store import history, views

_BUILDS = 40


async def killed_worker(world: World, step: Step) -> None:
    await world.publish_batch([events.build(n) for n in range(_BUILDS)])

    async def both_build() -> bool:
        return len(await world.sight.running("builds")) == len(world.workers)

    async def all_built() -> bool:
        return (await world.sight.effects("builds"))[1] >= _BUILDS

    await until(world.place, "both workers to build", both_build)
    running = await world.sight.running("builds")
    victim = max(running, key=lambda pid: running[pid])
    world.place.kill(victim)
    killed, killed_at = time.monotonic(), time.time()
    world.workers.remove(victim)
    await until(world.place, "the builds to end on the other worker", all_built)
    took = time.monotonic() - killed
    lost, rescued_at = await world.sight.lost("builds")
    expect(lost > 0, "no build was in the hands of the worker that was killed")
    found = await world.sight.effects("builds")
    expect(
        found == (_BUILDS, _BUILDS), f"{found[0]} builds of {found[1]} events, {_BUILDS} of each are right"
    )
    [other] = world.workers
    step.saw(
        f"SIGKILL for worker {victim} in the middle of {lost} of {_BUILDS} builds; worker {other}",
        f"had them {span(rescued_at - killed_at)} later; all are built, each once, after {span(took)}",
    )


async def failing_job(world: World, step: Step) -> None:
    answer = await world.post("/v1/events", events.deploy())
    event, [job] = answer["event"]["id"], answer["jobs"]

    async def has_failed() -> bool:
        return await world.sight.ledger(event) == ["failed"]

    async def has_ended() -> bool:
        return "completed" in await world.sight.ledger(event)

    await until(world.place, "the first failure", has_failed)
    async with world.db.connection() as conn:
        reasons = await history.why(conn, job["id"])
    await until(world.place, "the attempt that succeeds", has_ended)
    ledger = await world.sight.ledger(event)
    expect(ledger == ["failed"] * app.FAILURES + ["completed"], f"the attempts were {', '.join(ledger)}")
    expect(reasons[0].reason == "not_due", f"why said {reasons[0].reason}")
    step.saw(
        f"a deployment: {' → '.join(ledger)}, by the queue's backoff",
        f"`outboxd jobs why` said: {reasons[0].reason}, {(reasons[0].detail or '').partition(' at ')[0]}",
    )


async def all_quiet(world: World, step: Step) -> None:
    async def quiet() -> bool:
        async with world.db.connection() as conn:
            found = await views.rows(conn, "queue_depth", order="queue", limit=100)
        return not any(row["due"] or row["later"] or row["running"] for row in found)

    await until(world.place, "every queue to be empty", quiet)
    async with world.db.connection() as conn:
        queues = await views.rows(conn, "queue_depth", order="queue", limit=100)
    dead = sum(row["failed"] for row in queues)
    expect(dead == 0, f"{dead} jobs failed for good")
    expect(await world.sight.traces(world.rolled_back) == 0, "what was rolled back came back")
    expect(not world.receiver.accepted(str(world.rolled_back)), "what was rolled back was delivered")
    names = {row["queue"]: row["handler"] for row in queues}
    step.saw(
        f"{len(names)} queues: nothing due, nothing running, no dead letter",
        *(f"{_short(name):<11}{handler}" for name, handler in names.items()),
    )


def _short(queue: str) -> str:
    """`endpoint:<id>` without the id."""
    return queue.partition(":")[0]
