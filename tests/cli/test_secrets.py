"""secrets reencrypt: what the old key sealed moves to the first one, and opens without the old one."""

from base64 import b64encode

import psycopg
import pytest

from tests.cli.place import runner
from tests.cli.yard import Yard

OLD = "k1:" + b64encode(b"o" * 32).decode()
NEW = "k2:" + b64encode(b"n" * 32).decode()


def test_all_secrets_move_to_the_first_key_and_open_without_the_old_one(
    dsn: str, yard: Yard, capsys: pytest.CaptureFixture[str]
) -> None:
    before = runner(dsn, capsys, OUTBOXD_SECRET_KEYS=OLD)
    for n in range(3):
        before("endpoints", "create", f"https://example.com/{n}", "--project", "shop", "--json")
    both = runner(dsn, capsys, OUTBOXD_SECRET_KEYS=f"{NEW},{OLD}")
    dry = both("secrets", "reencrypt", "--dry-run", "--json").json()
    unasked = both("secrets", "reencrypt")
    first = both("secrets", "reencrypt", "--yes", "--json").json()
    again = both("secrets", "reencrypt", "--yes", "--json").json()
    with psycopg.connect(dsn) as conn:
        sealed = [row[0] for row in conn.execute("select sealed from outbox.endpoint_secrets").fetchall()]

    assert ({"key": "k2", "moved": 0, "found": 3}, 2) == (dry, unasked.exit)
    assert [{"key": "k2", "moved": 3}, {"key": "k2", "moved": 0}] == [first, again]
    assert {b"k2"} == {each[2:4] for each in sealed}


def test_a_secret_whose_key_is_missing_is_not_moved(
    dsn: str, yard: Yard, capsys: pytest.CaptureFixture[str]
) -> None:
    runner(dsn, capsys, OUTBOXD_SECRET_KEYS=OLD)(
        "endpoints", "create", "https://example.com/", "--project", "shop"
    )
    refusal = runner(dsn, capsys, OUTBOXD_SECRET_KEYS=NEW)("secrets", "reencrypt", "--yes")

    assert 0 != refusal.exit
    assert "k1" in refusal.err
