"""The file between `outboxd export` and `outboxd import`: JSON lines, gzipped where its bytes say so.

    {"kind": "outboxd-export", "version": 1, "payloads": true, "after": null, "team": {…}, "project": …}
    {"kind": "session", "id": …, …}
    {"kind": "end", "counts": {"session": 1, …}}          without it, the file was cut off

One line at a time is in memory, so a file may be larger than that.
"""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec
from msgspec import Raw

from outboxd.errors import Refused

T = TypeVar("T")

VERSION = 1
KIND = "outboxd-export"
_LONGEST = 64 * 2**20
"""Bytes of a line: an event is 5 MiB at most, by default."""
_GZIP = b"\x1f\x8b"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    kind: str
    id: str | None
    raw: Raw
    """All of it."""
    received_at: str | None
    """Of an event."""
    counts: dict[str, int] | None
    """Of the end."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    version: int
    team: Raw
    project: Raw


class _Seen(msgspec.Struct, frozen=True):
    kind: str
    id: str | None = None
    received_at: str | None = None
    counts: dict[str, int] | None = None


@contextmanager
def written(path: Path) -> Iterator[IO[bytes]]:
    """A new file, for its owner alone. Raises Refused when there is one."""
    try:
        with path.open("xb") as plain:
            path.chmod(0o600)
            if path.suffix != ".gz":
                yield plain
                return
            with gzip.GzipFile(fileobj=plain, mode="wb") as packed:
                yield packed  # type: ignore[misc]  # an IO[bytes] in all but name
    except FileExistsError:
        raise Refused(f"{path} exists already") from None
    except OSError as failed:
        raise Refused(f"{path} cannot be written: {failed.strerror}") from None


def head(path: Path) -> Head:
    """Raises Refused for what is no export, or one of another version."""
    for line in _lines(path):
        made = _decoded(path, 1, line, _Version)
        if made.kind != KIND:
            break
        if made.version != VERSION:
            raise Refused(f"{path}: its version is {made.version}; this release reads version {VERSION}")
        return _decoded(path, 1, line, Head)
    raise Refused(f"{path}: line 1 is not the head of an export")


def lines(path: Path) -> Iterator[Line]:
    """Everything after the head. Raises Refused, with the line's number, for what cannot be read."""
    for number, line in enumerate(_lines(path), 1):
        if number > 1 and line.strip():
            seen = _decoded(path, number, line, _Seen)
            yield Line(
                number=number,
                kind=seen.kind,
                id=seen.id,
                raw=Raw(line),
                received_at=seen.received_at,
                counts=seen.counts,
            )


class _Version(msgspec.Struct, frozen=True):
    kind: str = ""
    version: int = 0


def _lines(path: Path) -> Iterator[bytes]:
    number = 0
    try:
        with _opened(path) as file:
            while line := file.readline(_LONGEST + 1):
                number += 1
                if len(line) > _LONGEST:
                    raise Refused(f"{path}: line {number} is longer than 64 MiB")
                yield line
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise Refused(f"{path}: cut off or damaged after line {number}") from None
    except OSError as failed:
        raise Refused(f"{path} cannot be read: {failed.strerror}") from None


def _opened(path: Path) -> Any:
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
    return gzip.open(path) if packed else path.open("rb")


def _decoded(path: Path, number: int, line: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refused(f"{path}: line {number} is not what an export has there") from None
