"""How a step looks: its name while it runs; then what it saw, and how long that took.

✓ first keys      team and project `default`, one key each for a program and an operator     12 ms
"""

import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
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
    """What a step has to tell; a line each, shown at once where somebody looks on."""

    def __init__(self, show: Callable[[Sequence[str]], None]) -> None:
        self._show = show

    def saw(self, *lines: str) -> None:
        self._show(lines)


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
        """One step; what it raises is passed on when it has been drawn."""
        rows: list[str] = []

        def show(lines: Sequence[str]) -> None:
            for row in self._wrapped(lines):
                rows.append(row)
                if self._width is not None:
                    self._grow(name, rows)

        if self._width is not None:
            self._write(self._head("·", name, "", ""))
        started = time.monotonic()
        try:
            yield Step(show)
            took = time.monotonic() - started
            expect(
                took <= LIMIT.total_seconds(),
                f"it took {took:.0f} s, {LIMIT.total_seconds():.0f} s is the limit",
            )
        except BaseException as failed:
            show([_words(failed)])
            self._over(self._tinted(_RED, "✗"), name, rows, time.monotonic() - started)
            raise
        self.steps += 1
        self._over(self._tinted(_GREEN, "✓"), name, rows or [""], took)

    def say(self, *lines: str) -> None:
        self._to.writelines(line + "\n" for line in lines)
        self._to.flush()

    def title(self, text: str) -> None:
        self.say(self._tinted(_BOLD, text))

    def dim(self, text: str) -> str:
        return self._tinted(_DIM, text)

    def total(self) -> str:
        return span(time.monotonic() - self._started)

    def _grow(self, name: str, rows: Sequence[str]) -> None:
        """Draws the last row: the first beside the name, others below."""
        first = len(rows) == 1
        self._write(self._again("·", name, "", rows[0]) if first else f"\n{' ' * _INDENT}{rows[-1]}")

    def _over(self, mark: str, name: str, rows: Sequence[str], took: float) -> None:
        """The head once more, now with how it went; the cursor is in the last row."""
        if self._width is None:
            self.say(self._head(mark, name, span(took), rows[0]), *(" " * _INDENT + row for row in rows[1:]))
            return
        below = len(rows) - 1
        up, down = (f"\x1b[{below}A", f"\x1b[{below}B") if below else ("", "")
        self._write(up + self._again(mark, name, span(took), rows[0]) + down + "\n")

    def _again(self, mark: str, name: str, took: str, row: str) -> str:
        return f"\r\x1b[K{self._head(mark, name, took, row)}"

    def _head(self, mark: str, name: str, took: str, row: str) -> str:
        return f"  {mark} {name:<{_NAME}}{self.dim(f'{took:>{_TOOK}}')}  {row}"

    def _wrapped(self, lines: Sequence[str]) -> list[str]:
        if self._width is None:
            return list(lines)
        room = max(self._width - _INDENT, _INDENT)
        return [part for line in lines for part in textwrap.wrap(line, room) or [""]]

    def _write(self, text: str) -> None:
        self._to.write(text)
        self._to.flush()

    def _tinted(self, tint: str, text: str) -> str:
        return f"{tint}{text}{_PLAIN}" if self._colour else text


def span(seconds: float) -> str:
    """`41 ms`, `1.2 s`"""
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"


def _words(failed: BaseException) -> str:
    if isinstance(failed, Error):
        return failed.detail
    return str(failed) or {"CancelledError": "interrupted"}.get(type(failed).__name__, type(failed).__name__)
