"""An endpoint that came late is tried, sent what it was owed, and left alone while it asks for rest."""

import time
from typing import Any

from outboxd.cli.demo.sight import until
from outboxd.cli.demo.stage import Step, expect, span
from outboxd.cli.demo.world import World

_HOUR = 3600
_REST = 1.0
"""What it asks for when it is tired."""


async def late_endpoint(world: World, step: Step) -> None:
    target, owed = world.tired, len(world.heated)
    made = await world.post(
        "/v1/endpoints", {"url": target.url, "types": ["kettle.*"], "retrySchedule": [0, 0], "concurrency": 1}
    )
    target.secret = made["secret"]
    path = f"/v1/endpoints/{made['endpoint']['id']}"
    tried = await world.post(f"{path}/test", {})
    expect(tried["status"] == 204, f"the test was answered {tried}")
    step.saw(f"made after the fact, for kettle.*; a test-send: {tried['status']}, {tried['durationMs']} ms")
    span_asked = {"sinceEpoch": round((time.time() - _HOUR) * 1000), "ratePerSecond": 1000}
    dry = await world.post(f"{path}/recover", {**span_asked, "dryRun": True})
    expect((dry["matched"], dry["exact"]) == (owed, True), f"it is owed {dry}, {owed} are right")
    job = (await world.post(f"{path}/recover", span_asked))["generationJob"]["id"]
    await until(world.place, "what it was owed", lambda: len(target.calls) >= 1 + owed)
    rest = target.calls[1].at - target.failed_at
    expect(target.failed == 1 and rest >= _REST, f"it was called again after {span(rest)}")
    got = sorted(call.id for call in target.calls[1:])
    expect(got == sorted(world.heated), "it was sent something else, or something twice")
    step.saw(
        f"recover, as a dry run: {dry['matched']} events; for good: {len(got)} webhooks, each once",
        f"it answered one 503, Retry-After: 1 → left alone for {span(rest)}, then all came",
    )
    await until(world.place, "the recovery to be over", lambda: _over(world, job))


async def _over(world: World, job: str) -> bool:
    _, body = await world.call(0, "GET", f"/v1/jobs/{job}")
    found: dict[str, Any] = body["generationJob"]
    expect(found["status"] != "failed", "the recovery failed")
    return bool(found["status"] == "completed")
