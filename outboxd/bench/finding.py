"""How long it takes to find what is remembered, over HTTP, among many observations."""

import asyncio
import time
from collections.abc import Callable, Mapping

from outboxd.bench import daemons, memories, tenants
from outboxd.bench.ground import Ground, NotMeasuredError
from outboxd.bench.measure import Measure
from outboxd.bench.posting import Post, posting

_WARM_UP = 20


async def _found(ground: Ground, system: str) -> Mapping[str, float]:
    """One question after the other: ordinary words, a word of every second observation, and contexts."""
    talk = memories.Talk(seed=11)
    async with ground.database() as dsn:
        (project,) = tenants.prepare(dsn)
        await asyncio.to_thread(memories.stock, dsn, ground.size.memories, project)
        key = await tenants.key(dsn, project, ["memories:read"])
        async with daemons.whole(dsn) as (_, port), posting(port, key) as post:
            kinds: dict[str, tuple[str, Callable[[], str]]] = {
                "search": ("/v1/search", talk.ordinary),
                "search common": ("/v1/search", lambda: memories.COMMON),
                "context": ("/v1/context", talk.ordinary),
                "context newest": ("/v1/context", str),
            }
            found: dict[str, float] = {}
            for name, (path, question) in kinds.items():
                taken = await _taken(post, path, question, ground.size.asked)
                found |= {f"{name} p50": taken[len(taken) // 2], f"{name} p99": taken[len(taken) * 99 // 100]}
    return found


async def _taken(post: Post, path: str, question: Callable[[], str], times: int) -> list[float]:
    """Milliseconds of each, ascending."""
    taken = []
    for _ in range(_WARM_UP + times):
        asked = f'{{"query":"{question()}"}}'
        began = time.perf_counter()
        status = await post(path, asked)
        taken.append((time.perf_counter() - began) * 1000)
        if status != 200:
            raise NotMeasuredError(f"{path} answered {status}")
    return sorted(taken[_WARM_UP:])


MEASURES = (
    Measure(
        name="search",
        gives={
            f"{kind} {point}": "ms"
            for kind in ("search", "search common", "context", "context newest")
            for point in ("p50", "p99")
        },
        take=_found,
        rounds=1,
    ),
)
