"""A measure: which figures it gives, of whom, and how it is taken once."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from outboxd.bench.ground import Ground

Take = Callable[[Ground, str], Awaitable[Mapping[str, float]]]
"""(where, which system) → figure → value, in the measure's units. Raises NotMeasuredError."""


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    """What `--only` selects."""
    gives: Mapping[str, str]
    """Figure → unit."""
    take: Take
    systems: tuple[str, ...] = ("outboxd",)
    rounds: int | None = None
    """At most so many, where one takes long and its figure is a count or a long average."""
