"""The steps in their order, and how the demo ends."""

import asyncio
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TextIO

from outboxd.cli.demo import agent, asking, beginning, events, live, owed, trouble, work
from outboxd.cli.demo.place import Place
from outboxd.cli.demo.receiver import Call
from outboxd.cli.demo.stage import Stage, Step
from outboxd.cli.demo.world import World
from outboxd.cli.parser import Args
from outboxd.config import Config
from outboxd.db.pool import Database
from outboxd.errors import Error

_LOOK = 1.0

STEPS: tuple[tuple[str, Callable[[World, Step], Awaitable[None]]], ...] = (
    ("schema", beginning.schema),
    ("first keys", beginning.keys),
    ("a business", beginning.business),
    ("processes", beginning.processes),
    ("an endpoint", beginning.endpoint),
    ("one event", work.one_event),
    ("sent again", work.same_event),
    ("a batch", work.batch),
    ("rolled back", work.rolled_back),
    ("committed", work.committed),
    ("a SQL handler", work.sql_effects),
    ("a Python handler", work.python_calls),
    ("a worker dies", trouble.killed_worker),
    ("a job fails", trouble.failing_job),
    ("a live stream", live.stream),
    ("a question", asking.question),
    ("a late endpoint", owed.late_endpoint),
    ("an agent", agent.project),
    ("its session", agent.session),
    ("observations", agent.observations),
    ("a summary", agent.summary),
    ("search", agent.search),
    ("over MCP", agent.mcp),
    ("at the end", trouble.all_quiet),
)


def tell(args: Args, config: Config, *, to: TextIO = sys.stdout) -> int:
    """The exit status. On a terminal it stays up after the last step, until Ctrl-C."""
    live = to.isatty()
    width = shutil.get_terminal_size().columns if live else None
    stage = Stage(to, width=width, colour=args.colour)
    # Whoever ends it gets everything put away, as after Ctrl-C.
    for other in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, lambda *_: signal.raise_signal(signal.SIGINT))
    place = Place(config)
    try:
        return _told(stage, place, stay=live and not args.exit)
    except Error as failed:
        _explain(failed, place)
        return 1
    finally:
        # A second Ctrl-C would leave what the first one puts away.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        place.close()


def _told(stage: Stage, place: Place, *, stay: bool) -> int:
    stage.title("outboxd demo")
    stage.say(stage.dim(f"on loopback and in {place.folder};"))
    stage.say(stage.dim("nothing of it is left afterwards"), "")
    with stage.step("Postgres") as step:
        step.saw(f"{place.start_postgres()}, embedded, durable, on a socket of its own")
    with asyncio.Runner() as runner:
        return runner.run(_acted(stage, place, stay=stay))


async def _acted(stage: Stage, place: Place, *, stay: bool) -> int:
    async with AsyncExitStack() as stack:
        world = World(
            place, await stack.enter_async_context(Database.open(place.dsn, pool_min=1, pool_max=4))
        )
        for receiver in (world.receiver, world.tired):
            await stack.enter_async_context(receiver.listening())
        for name, act in STEPS:
            with stage.step(name) as step:
                await act(world, step)
        stage.say("", f"  All {stage.steps} steps held, in {stage.total()}.")
        if stay:
            await _stayed(stage, world)
    return 0


async def _stayed(stage: Stage, world: World) -> None:
    """Until Ctrl-C, or a process of ours ends. What is posted meanwhile is seen to arrive."""

    def arrived(call: Call) -> None:
        stage.say(f"  webhook  {call.type}  {call.id}")

    event = events.activity(1)
    stage.say("", *_invitation(world, event["eventType"]), "")
    world.receiver.on_call = arrived
    try:
        while True:
            world.place.check_alive()
            await asyncio.sleep(_LOOK)
    except asyncio.CancelledError:
        stage.say("", "  Putting everything away.")


def _invitation(world: World, event_type: str) -> list[str]:
    return [
        f"  It stays up until Ctrl-C: {world.place.url}. Try",
        "",
        f"  curl -s {world.place.url}/v1/events -H 'Authorization: Bearer {world.keys.project_secret}' \\",
        f"    -H 'Content-Type: application/json' -d '{{\"eventType\": \"{event_type}\"}}'",
        "",
        f"  and look at it in the console, {world.place.url}/console: that key signs in.",
    ]


def _explain(failed: Error, place: Place) -> None:
    """What went wrong, and what our processes said last."""
    sys.stderr.write(f"error: {failed.detail}\n")
    for name, tail in place.logs():
        sys.stderr.write(f"\n{name} said last:\n{tail}\n")
