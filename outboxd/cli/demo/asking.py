"""A question waits for one person: asked on one process, answered on the other, once."""

import asyncio
import time
from typing import Any

from outboxd.cli.demo.stage import Step, expect, span
from outboxd.cli.demo.world import World

_ASKER, _CLICKS = 0, 1
"""Which server each of them talks to."""
_WAIT = 20
_WHO = {"connectionId": "kitchen", "actor": "ada"}
_QUESTION = {
    "connectionId": "kitchen",
    "expectedActor": "ada",
    "prompt": "The kettle has whistled. Pour?",
    "options": [{"value": "pour", "label": "Pour"}, {"value": "wait", "label": "Wait"}],
}


async def question(world: World, step: Step) -> None:
    [before, made] = [await _position(world), await world.post("/v1/interactions", _QUESTION)]
    path = f"/v1/interactions/{made['interaction']['id']}"
    waiting = asyncio.create_task(_until_answered(world, path))
    asker, clicks = (f":{port}" for port in world.place.ports)
    step.saw(f"“{_QUESTION['prompt']}” asked on {asker}, where the asker waits")
    await _stranger(world, path)
    expect(not waiting.done(), "the asker did not wait")
    step.saw("mallory clicks: 404, as if there were no question")
    clicked = time.monotonic()
    status, first = await _click(world, _CLICKS, path, "pour")
    answer, woken = await waiting
    expect((status, first.get("replayed")) == (200, False), f"ada's click: {status} {first}")
    expect((answer["state"], answer["answer"]) == ("answered", "pour"), f"the asker was told {answer}")
    step.saw(f"ada clicks on {clicks}: counted; the asker knows {span(woken - clicked)} after the click")
    await _again(world, path, first)
    told = await _told(world, before)
    expect(told == ["interaction.asked", "interaction.answered"], f"the feed tells {told}")
    step.saw(
        "ada clicks again, on both: replayed; ada changes her mind: 409",
        f"the feed has each once: {', '.join(told)}",
    )


async def _until_answered(world: World, path: str) -> tuple[Any, float]:
    """The question as the asker gets it, and when."""
    _, body = await world.call(_ASKER, "GET", path, wait=str(_WAIT))
    return body["interaction"], time.monotonic()


async def _stranger(world: World, path: str) -> None:
    said = {**_WHO, "actor": "mallory", "answer": "pour"}
    status, _ = await world.call(_CLICKS, "POST", f"{path}/answer", said)
    expect(status == 404, f"mallory was answered {status}")


async def _again(world: World, path: str, first: Any) -> None:
    for at in (_ASKER, _CLICKS):
        status, body = await _click(world, at, path, "pour")
        expect((status, body.get("replayed")) == (200, True), f"a second click: {status} {body}")
        same = body["interaction"]["answerEventId"] == first["interaction"]["answerEventId"]
        expect(same, "a second click made another event")
    status, _ = await _click(world, _CLICKS, path, "wait")
    expect(status == 409, f"another answer was answered {status}")


async def _click(world: World, at: int, path: str, answer: str) -> tuple[int, Any]:
    return await world.call(at, "POST", f"{path}/answer", {**_WHO, "answer": answer})


async def _position(world: World) -> str:
    _, body = await world.call(_ASKER, "GET", f"/v1/projects/{world.project}/position")
    return str(body["position"])


async def _told(world: World, after: str) -> list[str]:
    """Types of the events behind that position."""
    path = f"/v1/projects/{world.project}/feed"
    told: list[str] = []
    while len(told) < 2:
        _, page = await world.call(_ASKER, "GET", path, after=after, wait="5")
        expect(bool(page["events"]), f"the feed tells only {told}")
        told += [event["eventType"] for event in page["events"]]
        after = page["position"]
    return told
