"""How many jobs this process runs at once, and what some of them need besides."""

import asyncio
from collections import Counter
from collections.abc import Mapping

from outboxd import telemetry


class Slots:
    """`size` slots, and for each group of handlers a bound of its own: threads, connections."""

    def __init__(self, size: int, groups: Mapping[str, int] | None = None) -> None:
        self.size = size
        self._groups = dict(groups or {})
        self._busy = 0
        self._busy_of: Counter[str] = Counter()
        self._wanted = 0
        self._freed = asyncio.Event()

    @property
    def free(self) -> int:
        return self.size - self._busy

    @property
    def busy(self) -> int:
        return self._busy

    def rooms(self) -> dict[str, int]:
        """How many more jobs of each group could run."""
        return {group: size - self._busy_of[group] for group, size in self._groups.items()}

    def take(self, group: str = "") -> None:
        self._busy += 1
        self._busy_of[group] += 1

    def give(self, group: str = "") -> None:
        self._busy -= 1
        self._busy_of[group] -= 1
        if self._wanted and self.free >= self._wanted:
            self._freed.set()

    async def at_least(self, wanted: int) -> None:
        """Until that many are free. One task waits at a time."""
        telemetry.SLOTS_IN_USE.set(self._busy)
        while self.free < wanted:
            self._wanted = wanted
            self._freed.clear()
            try:
                await self._freed.wait()
            finally:
                self._wanted = 0
