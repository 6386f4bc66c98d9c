"""The command line in a test: run in this process, against a database of the test's own."""

import json
import os
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from outboxd.cli import frame


class Said(msgspec.Struct, frozen=True):
    """How a command ended, and what it said."""

    exit: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Said]


def runner(dsn: str, capsys: pytest.CaptureFixture[str], **settings: str) -> Run:
    """`run("teams", "list")`; `settings` are put into the environment."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "OUTBOXD_DATA": "/nonexistent/outboxd",
        "OUTBOXD_DATABASE_URL": dsn,
        **settings,
    }

    def run(*words: str) -> Said:
        status = frame.run(words, environ)
        said = capsys.readouterr()
        return Said(status, said.out, said.err)

    return run
