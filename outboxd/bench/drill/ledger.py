"""Append-only files, one a writer, synced line by line: what somebody intended, and what was acknowledged."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec


class Ledger:
    """Lines of JSON. A line torn by a kill is the last one, and is passed over."""

    def __init__(self, file: Path, *, synced: bool = True) -> None:
        """Not `synced`: for a writer that nobody kills."""
        self._synced = synced
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, **entry: Any) -> None:
        """On disk when it returns."""
        os.write(self._file, msgspec.json.encode(entry) + b"\n")
        if self._synced:
            os.fdatasync(self._file)

    def close(self) -> None:
        os.close(self._file)


def read(folder: Path, pattern: str) -> Iterator[dict[str, Any]]:
    """Every whole line of the files that match."""
    for file in sorted(folder.glob(pattern)):
        for line in file.read_bytes().split(b"\n"):
            try:
                yield msgspec.json.decode(line)
            except msgspec.DecodeError:
                continue
