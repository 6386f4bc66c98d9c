"""Label values that callers choose, kept to a number that a metrics server can bear."""

OTHER = "other"


class Bounded:
    """The first `limit` names are themselves, every later one is `other`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._names: set[str] = set()

    def label(self, name: str) -> str:
        if name not in self._names:
            if len(self._names) >= self._limit:
                return OTHER
            self._names.add(name)
        return name
