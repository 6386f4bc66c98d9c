"""What a NOTIFY on `outbox_wake` says.

    q:<queue>  j:<job>  s:<project>:<head>  i:<interaction>  k:<key>

Several in one message, with blanks or newlines between. Nothing but ids and queue names is ever in one, and
nothing depends on one arriving. What a newer release hints at is passed over.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

Kind = Literal["queue", "job", "stream", "interaction", "key", "pending", "everything"]

MAX_BYTES = 7_500
"""Of one message; Postgres takes 7,999."""

_KINDS: dict[str, Kind] = {"q": "queue", "j": "job", "s": "stream", "i": "interaction", "k": "key"}
_LETTERS = {kind: letter for letter, kind in _KINDS.items()}


class Hint(msgspec.Struct, frozen=True, kw_only=True):
    kind: Kind
    """`pending`: a SQL producer published. `everything`: hints may have been lost, look everywhere."""
    name: str = ""
    """The queue, or the id of the job, project, interaction or key."""
    head: int | None = None
    """Of a stream."""


def read(payload: str) -> Iterator[Hint]:
    """The hints of one message that we understand."""
    for word in payload.split():
        letter, _, name = word.partition(":")
        kind = _KINDS.get(letter)
        if kind == "stream":
            name, _, head = name.rpartition(":")
            if name and head.isdecimal():
                yield Hint(kind=kind, name=name, head=int(head))
        elif kind is not None and name:
            yield Hint(kind=kind, name=name)


def write(hints: Iterable[Hint]) -> Iterator[str]:
    """Messages of at most MAX_BYTES, each hint once."""
    message = ""
    for word in dict.fromkeys(map(_word, hints)):
        if message and len(message) + 1 + len(word) > MAX_BYTES:
            yield message
            message = ""
        message = f"{message} {word}" if message else word
    if message:
        yield message


def _word(hint: Hint) -> str:
    word = f"{_LETTERS[hint.kind]}:{hint.name}"
    return word if hint.head is None else f"{word}:{hint.head}"
