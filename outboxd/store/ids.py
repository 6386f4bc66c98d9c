"""UUIDv7 by the database's clock: a primary key is a partition key, so its time must be theirs."""

import os
import time
from datetime import datetime
from uuid import UUID

_VARIANT = 0b10 << 62
_RANDOM = (1 << 62) - 1


class Mint:
    """Ids that sort as they were made, whatever the clocks do. `set` says what the database's is."""

    def __init__(self) -> None:
        self._ahead = 0
        """Microseconds the database's clock is ahead of ours."""
        self._last = 0

    def set(self, database: datetime, local: float) -> None:
        """`local`: `time.time()` when `database` was its time."""
        self._ahead = round((database.timestamp() - local) * 1_000_000)

    def now(self) -> float:
        """Unix seconds, by the database's clock."""
        return time.time() + self._ahead / 1_000_000

    def __call__(self) -> UUID:
        # A step of 1/4096 ms is the least that shows in the id: 12 bits follow the milliseconds.
        steps = (time.time_ns() // 1000 + self._ahead) * 4096 // 1000
        self._last = steps = max(steps, self._last + 1)
        high = (steps >> 12) << 16 | 0x7000 | (steps & 0xFFF)
        return UUID(int=high << 64 | _VARIANT | (int.from_bytes(os.urandom(8)) & _RANDOM))
