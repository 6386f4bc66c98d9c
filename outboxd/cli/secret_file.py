"""A file that only we can read, made anew or not at all."""

import json
import os
from types import TracebackType
from typing import Any, Self

from outboxd.errors import Conflict, NotFound


class SecretFile:
    """Taken at the start of the block; removed again unless something was written. None: nowhere."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._file: int | None = None
        self._written = False

    def __enter__(self) -> Self:
        """Raises Conflict when there is such a file, NotFound when its folder is not to be had."""
        if self._path is None:
            return self
        try:
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise Conflict(f"{self._path} exists, and is not overwritten") from None
        except OSError as failed:
            raise NotFound(f"{self._path} cannot be written: {failed.strerror}") from None
        return self

    def write(self, document: dict[str, Any]) -> None:
        if self._file is not None:
            os.write(self._file, json.dumps(document, default=str, indent=2).encode() + b"\n")
            os.fsync(self._file)
            self._written = True

    def __exit__(
        self, kind: type[BaseException] | None, failed: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None or self._path is None:
            return
        os.close(self._file)
        if failed is not None or not self._written:
            os.unlink(self._path)  # noqa: PTH108  the path is a word of the command line
