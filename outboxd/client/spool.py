"""A folder that keeps writes which could not be sent, until they can.

    waiting.jsonl    one order a line, in the order they were made; only ever appended to, synced each time
    rejected.jsonl   what the server refused for good, or what grew too old, with the reason
    held.json        until when a refused key is not tried again
    lock             held for each look at or change of the files, a moment at a time
    replay.lock      held by the one process that replays

Each append is synced before it counts. A line that a crash cut short is skipped and counted; so that
it takes nobody with it, whoever appends behind one starts a new line. Nothing in the folder holds a
key. Weakness: what was sent is taken out at the end of a pass, so a crash in the middle of one sends
its part again; each order carries what makes it the same one.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, Literal

import msgspec
import structlog

from outboxd.client.errors import ClientError
from outboxd.client.orders import Order

log = structlog.get_logger()

MOST_BYTES = 64 * 1024 * 1024
"""Of both lists together: what was rejected is somebody's too, and is dropped by a person or never."""
OLDEST = timedelta(days=7)
HOLD = timedelta(minutes=15)
MOST_LINES = 100
"""Of one look."""
MOST_READ = 4 * 1024 * 1024
"""Of one look, in bytes; a line at least."""

_MS = timedelta(milliseconds=1)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    at: int
    """When it was put here, epoch milliseconds."""
    order: Order


class Line(msgspec.Struct, frozen=True, kw_only=True):
    kept: Kept
    end: int
    """Where the next line begins."""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    lines: list[Line]
    end: int
    torn: int
    """Lines that are no orders."""


class _Rejected(msgspec.Struct, frozen=True, kw_only=True):
    at: int
    reason: str
    status: int | None
    order: Order


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    until: int
    mark: str


_ENCODER = msgspec.json.Encoder()
_KEPT = msgspec.json.Decoder(Kept)
_HELD = msgspec.json.Decoder(_Held)


class Spool:
    """Its methods block for a file access; `clock` gives epoch seconds."""

    def __init__(self, folder: Path, clock: Callable[[], float], most_bytes: int = MOST_BYTES) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._folder = folder
        self._clock = clock
        self._most = most_bytes
        self._waiting = folder / "waiting.jsonl"
        self._rejected = folder / "rejected.jsonl"
        self._held = folder / "held.json"
        self.torn = 0
        """Lines skipped by this process because they were cut short."""

    def has_some(self) -> bool:
        return _size(self._waiting) > 0

    def keep(self, orders: Sequence[Order]) -> None:
        """All of them, durably, or none: then ClientError `spool_full`."""
        now = self._now()
        text = b"".join(_ENCODER.encode(Kept(at=now, order=each)) + b"\n" for each in orders)
        with self._locked():
            if _size(self._waiting) + _size(self._rejected) + len(text) > self._most:
                raise ClientError("spool_full", f"the spool holds {self._most} bytes, and no more")
            _append(self._waiting, text)

    def look(self, start: int) -> Look:
        """What stands at `start`: at most 100 lines or 4 MiB."""
        lines: list[Line] = []
        end, torn = start, 0
        with self._locked(), _opened(self._waiting, os.O_RDONLY | os.O_CREAT, "rb") as file:
            file.seek(start)
            while len(lines) < MOST_LINES and end - start < MOST_READ:
                text = file.readline()
                if not text:
                    break
                end += len(text)
                try:
                    lines.append(Line(kept=_KEPT.decode(text), end=end))
                except (msgspec.DecodeError, RecursionError):
                    torn += 1
        return Look(lines=lines, end=end, torn=torn)

    def drop(self, end: int, torn: int = 0) -> None:
        """Takes out what stands before `end`; `torn` lines of it were skipped."""
        if not end:
            return
        if torn:
            self.torn += torn
            log.warning("torn lines of the spool skipped", lines=torn)
        with self._locked():
            with _opened(self._waiting, os.O_RDONLY, "rb") as file:
                file.seek(end)
                rest = file.read()
            _replace(self._waiting, rest)

    def reject(self, order: Order, reason: str, status: int | None = None) -> None:
        log.warning("order rejected", path=order.path, status=status)
        said = _Rejected(at=self._now(), reason=reason, status=status, order=order)
        with self._locked():
            _append(self._rejected, _ENCODER.encode(said) + b"\n")

    def too_old(self, kept: Kept) -> bool:
        return self._now() - kept.at > OLDEST // _MS

    def hold(self, key: str) -> None:
        """Nothing is tried with `key` for 15 minutes."""
        until = self._now() + HOLD // _MS
        with self._locked():
            _replace(self._held, _ENCODER.encode(_Held(until=until, mark=_mark(key))))

    def holds(self, key: str) -> bool:
        try:
            held = _HELD.decode(self._held.read_bytes())
        except (OSError, msgspec.DecodeError):
            return False
        return held.mark == _mark(key) and self._now() < held.until

    @contextmanager
    def replaying(self) -> Iterator[bool]:
        """Whether this process is the one that replays."""
        with _opened(self._folder / "replay.lock", os.O_RDWR | os.O_CREAT, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with _opened(self._folder / "lock", os.O_RDWR | os.O_CREAT, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _now(self) -> int:
        return int(self._clock() * 1000)


def _opened(path: Path, flags: int, mode: Literal["rb", "wb", "r+b"]) -> IO[bytes]:
    """For its owner alone, whatever the umask."""
    return os.fdopen(os.open(path, flags | os.O_CLOEXEC, 0o600), mode)


def _append(path: Path, text: bytes) -> None:
    with _opened(path, os.O_RDWR | os.O_CREAT, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                text = b"\n" + text
        file.seek(0, os.SEEK_END)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if not size:
        _sync_folder(path.parent)


def _replace(path: Path, text: bytes) -> None:
    made = path.with_suffix(".new")
    with _opened(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _mark(key: str) -> str:
    """Tells one key from another and is of no other use."""
    return hashlib.blake2b(key.encode(), digest_size=8, person=b"outboxd-spool").hexdigest()
