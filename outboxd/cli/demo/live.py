"""Who wants to know follows the stream, from any process, and misses nothing when the connection is cut."""

import asyncio
import time
from collections.abc import Sequence

from outboxd.cli.demo import events
from outboxd.cli.demo.stage import Step, expect, span
from outboxd.cli.demo.subscriber import Frame, Subscriber, subscribed
from outboxd.cli.demo.world import World

_SEEN, _MISSED, _AFTER = (20, 30, 40), (50, 60, 70), (80, 90, 100)
"""Degrees: while it follows, while it is cut, once it is back."""
_PACE = 0.06


class Kettle:
    """What was posted, and when."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.posted: dict[int, float] = {}

    async def heat(self, degrees: Sequence[int]) -> None:
        for celsius in degrees:
            self.posted[celsius] = time.monotonic()
            self._world.heated.append(await self._world.publish(events.kettle(celsius)))
            await asyncio.sleep(_PACE)


async def stream(world: World, step: Step) -> None:
    kettle = Kettle(world)
    path, key = f"/v1/projects/{world.project}/stream", world.keys.project_secret
    here, there = world.place.ports
    async with subscribed(there, path, key) as reader:
        step.saw(f"posted to :{here}, streamed from :{there}; from post to frame:")
        before = reader.start.number
        seen = await _follow(reader, step, kettle, _SEEN)
    step.saw(f"connection cut; back on :{here} with Last-Event-ID: {seen[-1].id}")
    await kettle.heat(_MISSED)
    async with subscribed(here, path, key, after=seen[-1].id) as reader:
        expect(reader.start.number == seen[-1].number, "it resumed somewhere else")
        seen += [_shown(step, await reader.event(), "made meanwhile") for _ in _MISSED]
        seen += await _follow(reader, step, kettle, _AFTER)
    numbers = [frame.number for frame in seen]
    expected = list(range(before + 1, before + 1 + len(world.heated)))
    expect(numbers == expected, f"numbers {numbers}, {expected} are right")
    expect([frame.data["id"] for frame in seen] == world.heated, "other events, or in another order")
    step.saw(f"{numbers[0]} … {numbers[-1]}: no gap, nothing twice, in order")


async def _follow(reader: Subscriber, step: Step, kettle: Kettle, degrees: Sequence[int]) -> list[Frame]:
    """Shows them as they come, while they are posted."""
    seen = []
    async with asyncio.TaskGroup() as group:
        group.create_task(kettle.heat(degrees))
        for celsius in degrees:
            frame = await reader.event()
            seen.append(_shown(step, frame, span(frame.at - kettle.posted[celsius])))
    return seen


def _shown(step: Step, frame: Frame, when: str) -> Frame:
    event = frame.data
    step.saw(f"{frame.number:>5}  {event['eventType']:<15} {event['payload']['celsius']:>3} °C  {when:>7}")
    return frame
