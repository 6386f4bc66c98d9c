"""What became of the rows of an import."""

from collections import Counter
from typing import Any


class Tally:
    """What was taken, was here, was too old; of each kind."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self.here: Counter[str] = Counter()
        self.too_old = 0

    def fields(self) -> dict[str, Any]:
        return {"taken": dict(self.taken), "alreadyHere": dict(self.here), "tooOld": self.too_old}
