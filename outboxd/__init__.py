"""A transactional outbox daemon that needs nothing but Postgres."""

import importlib
from typing import Any

__version__ = "0.1.0"

# What handlers are written with. Late, so that `outboxd --help` does not wait for a database driver;
# their types are in the stub beside this file.
_HOMES = {
    "App": "outboxd.handlers.python",
    "Done": "outboxd.model",
    "Ended": "outboxd.model.contract",
    "Job": "outboxd.model",
    "Refused": "outboxd.errors",
    "Run": "outboxd.model.contract",
    "Snooze": "outboxd.model",
    "Unavailable": "outboxd.errors",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'outboxd' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
