"""How a step looks: its name while it runs; then what it saw, and how long that took.

✓ first keys      team and project `default`, one key each for a program and an operator     12 ms
"""

import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TextIO

from outboxd.errors import Error

LIMIT = timedelta(seconds=20)
"""What a step may take."""

_NAME = 18
_TOOK = 7
_INDENT = 4 + _NAME + _TOOK + 2
_DIM, _GREEN, _RED, _BOLD, _PLAIN = "\x1b[2m", "\x1b[32m", "\x1b[31m", "\x1b[1m", "\x1b[0m"


class Unmet(Error):  # noqa: N818  as all of ours are called
    """A step did not see what it promises."""


def expect(held: bool, otherwise: str) -> None:
    """Raises Unmet with what is told instead."""
    if not held:
        raise Unmet(otherwise)


class Step:
    """What a step has to tell; a line each."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def saw(self, *lines: str) -> None:
        self.lines += lines


class Stage:
    def __init__(self, to: TextIO, *, width: int | None, colour: bool) -> None:
        """`width` of the terminal; None: there is none, and nothing is cut or drawn again."""
        self._to = to
        self._width = width
        self._colour = colour
        self._started = time.monotonic()
        self.steps = 0

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """One step; what it raises is passed on when the line has been drawn."""
        if self._width is not None:
            self._to.write(f"  · {name}")
            self._to.flush()
        started, step = time.monotonic(), Step()
        try:
            yield step
            took = time.monotonic() - started
            expect(
                took <= LIMIT.total_seconds(),
                f"it took {took:.0f} s, {LIMIT.total_seconds():.0f} s is the limit",
            )
        except BaseException as failed:
            self._over(self._tinted(_RED, "✗"), name, [_words(failed)], time.monotonic() - started)
            raise
        self.steps += 1
        self._over(self._tinted(_GREEN, "✓"), name, step.lines or [""], took)

    def say(self, *lines: str) -> None:
        self._to.writelines(line + "\n" for line in lines)
        self._to.flush()

    def title(self, text: str) -> None:
        self.say(self._tinted(_BOLD, text))

    def dim(self, text: str) -> str:
        return self._tinted(_DIM, text)

    def total(self) -> str:
        return span(time.monotonic() - self._started)

    def _over(self, mark: str, name: str, lines: Sequence[str], took: float) -> None:
        clear = "" if self._width is None else "\r\x1b[K"
        first, *more = self._wrapped(lines)
        self.say(f"{clear}  {mark} {name:<{_NAME}}{self.dim(f'{span(took):>{_TOOK}}')}  {first}")
        self.say(*(" " * _INDENT + line for line in more))

    def _wrapped(self, lines: Sequence[str]) -> list[str]:
        if self._width is None:
            return list(lines)
        room = max(self._width - _INDENT, _INDENT)
        return [part for line in lines for part in textwrap.wrap(line, room) or [""]]

    def _tinted(self, tint: str, text: str) -> str:
        return f"{tint}{text}{_PLAIN}" if self._colour else text


def span(seconds: float) -> str:
    """`41 ms`, `1.2 s`"""
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"


def _words(failed: BaseException) -> str:
    if isinstance(failed, Error):
        return failed.detail
    return str(failed) or {"CancelledError": "interrupted"}.get(type(failed).__name__, type(failed).__name__)
