"""Who gives the crew its work, and who looks on: producers, the puller, the subscribers."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from outboxd.bench.drill.doors import drop_schedule, make_schedule
from outboxd.bench.drill.producers import Http, Poisoner, Producer, Sql
from outboxd.bench.drill.puller import HttpPuller, Puller, SqlPuller
from outboxd.bench.drill.readers import Subscriber, behind
from outboxd.bench.drill.world import World

if TYPE_CHECKING:
    from outboxd.bench.drill.run import Plan

_SICK_RATE = 0.2
"""Poisoned events a second: an `exit` takes a whole process with it."""


class Load:
    """Runs from its making on. `stop()` ends what comes in, `end()` those who take what is left."""

    def __init__(self, world: World, ports: Callable[[], list[int]], plan: "Plan", *, poison: bool) -> None:
        self._world = world
        self._producers: list[Producer] = [Sql(world, f"sql{n}", plan.seed + n, plan.rate) for n in range(2)]
        self._producers += [Http(world, f"http{n}", plan.seed + 10 + n, plan.rate, ports) for n in range(2)]
        if poison:
            self._producers.append(Poisoner(world, "sqlp", plan.seed + 20, _SICK_RATE))
        self._ports = ports
        self._pullers: list[Puller] = [SqlPuller(world, "sql", plan.seed + 30)]
        if plan.tomorrow:
            self._pullers.append(HttpPuller(world, "http", plan.seed + 31, ports))
        self._schedule = make_schedule(world, ports()[0]) if plan.tomorrow else None
        self._readers = [Subscriber(world, f"reader{n}", plan.seed + 40 + n, ports) for n in range(4)]
        for thread in (*self._producers, *self._pullers, *self._readers):
            thread.start()

    def stop(self) -> None:
        for producer in self._producers:
            producer.stopping.set()
        for producer in self._producers:
            producer.join(30)
        if self._schedule is not None:
            drop_schedule(self._world, self._ports(), self._schedule)

    def behind(self) -> int:
        """Subscribers that have not seen everything."""
        return behind(self._world, self._readers)

    def end(self) -> list[str]:
        """Who has not come to the end of the feed, in words."""
        late = self.behind()
        takers: list[Puller | Subscriber] = [*self._pullers, *self._readers]
        for taker in takers:
            taker.stopping.set()
        for taker in takers:
            taker.join(10)
        return [f"stuck: {late} subscribers are behind"] if late else []
