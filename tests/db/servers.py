"""Embedded servers for tests to start."""

import os
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from outboxd.db.embedded import Embedded

ROOT = Path(__file__).parents[2]
AS_ROOT = os.geteuid() == 0
# Only fsync: everything else as in production.
QUICK = {"fsync": "off"}

only_root = pytest.mark.skipif(not AS_ROOT, reason="needs root: the drop to another account is tried")

Start = Callable[..., Embedded]


def ask(server: Embedded, question: str) -> object:
    with psycopg.connect(server.dsn()) as conn:
        row = conn.execute(question.encode()).fetchone()
        assert row is not None
        return row[0]
