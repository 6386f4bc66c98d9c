"""Label values that callers choose, kept to a number that a metrics server can bear."""

OTHER = "other"
HELD = frozenset(
    {
        "budget", "provider", "session_open", "session_active", "observing", "endpoint", "overloaded",
        "recovering", "snoozed",
    }
)  # fmt: skip
"""What jobs wait for; a handler may name anything."""
SQLSTATES = frozenset(
    {
        "08", "0A", "0Z", "21", "22", "23", "24", "25", "26", "28", "2B", "2D", "2F", "34", "38", "39", "3B",
        "3D", "3F", "40", "42", "44", "53", "54", "55", "57", "58", "F0", "HV", "P0", "XX", "OX",
    }
)  # fmt: skip
"""Classes of errors: Postgres's own, and ours."""


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
