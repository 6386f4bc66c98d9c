"""The list of all measures, in the order in which they are taken."""

from collections.abc import Iterable, Sequence

import msgspec

from outboxd.bench import (
    costs,
    delivering,
    draining,
    finding,
    following,
    gates,
    idle,
    latency,
    observing,
    scaling,
    weather,
    web,
)
from outboxd.bench.measure import Measure
from outboxd.errors import ConfigError

MEASURES: tuple[Measure, ...] = (
    *draining.MEASURES,
    *scaling.MEASURES,
    *web.MEASURES,
    *latency.MEASURES,
    *costs.MEASURES,
    *weather.MEASURES,
    *gates.MEASURES,
    *idle.MEASURES,
    *observing.MEASURES,
    *finding.MEASURES,
    *following.MEASURES,
    *delivering.MEASURES,
)


def chosen(only: Sequence[str] = (), *, peers: bool = True) -> list[Measure]:
    """Those whose name is, or begins with, one of `only`; all when there is none. Without peers on request.

    Raises ConfigError for a name that selects nothing.
    """
    unknown = [name for name in only if not any(_named(measure, name) for measure in MEASURES)]
    if unknown:
        known = ", ".join(measure.name for measure in MEASURES)
        raise ConfigError([f"no measure {name!r}; there are {known}" for name in unknown])
    found = [one for one in MEASURES if not only or any(_named(one, name) for name in only)]
    return found if peers else list(_without(found))


def _named(measure: Measure, name: str) -> bool:
    return measure.name == name or measure.name.startswith((name + " ", name + ","))


def _without(measures: Iterable[Measure]) -> Iterable[Measure]:
    for measure in measures:
        systems = tuple(system for system in measure.systems if system not in draining.PEERS)
        yield msgspec.structs.replace(measure, systems=systems)
