"""Which handlers a worker offers: one dict, made in one place.

built in   observe, summarize, deliver, recover …   ours, given by the daemon
Python     any other name                           from `--app`
SQL        sql:schema.function                      declared by an operator, rows of `handlers`
"""

import re
from collections.abc import Iterable, Mapping

from outboxd.errors import ConfigError
from outboxd.model.contract import Handler

BUILT_IN = frozenset({"observe", "summarize", "deliver", "recover"})
_QUEUE = re.compile(r"[a-z0-9][a-z0-9._:-]{0,99}\Z")
_RESERVED = ("sql:", "pull:", "endpoint:")


def registry(*groups: Iterable[Handler]) -> dict[str, Handler]:
    """Handlers by name. Raises ConfigError when two have the same."""
    found: dict[str, Handler] = {}
    for handler in (handler for group in groups for handler in group):
        if handler.name in found:
            raise ConfigError([f"two handlers are called {handler.name}"])
        found[handler.name] = handler
    return found


def problems_of_names(names: Iterable[str], open_: Iterable[str], queues: Mapping[str, str]) -> list[str]:
    """What is wrong with the names that a user's app gives."""
    known = set(names)
    found = [f"handler {name} has the name of a built-in one" for name in sorted(known & BUILT_IN)]
    found += [
        f"handler {name}: names starting with {', '.join(_RESERVED)} are taken"
        for name in sorted(known)
        if name.startswith(_RESERVED)
    ]
    found += [f"handler {name!r}: 1 to 100 printable characters" for name in known if not _is_name(name)]
    found += [f"open names {name}, which is no handler of this app" for name in open_ if name not in known]
    found += [
        f"queue {queue} names the handler {name}, which this app does not have"
        for queue, name in queues.items()
        if name not in known
    ]
    found += [
        f"queue {queue!r}: 1 to 100 of a-z 0-9 . _ : -, the first a letter or digit"
        for queue in queues
        if not is_queue(queue)
    ]
    return found


def is_queue(name: str) -> bool:
    return _QUEUE.match(name) is not None


def _is_name(name: str) -> bool:
    return 1 <= len(name) <= 100 and name.isprintable()
