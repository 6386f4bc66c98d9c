"""check --restored: what a person must know; check: sealed secrets whose key is gone."""

from base64 import b64encode

import pytest

from tests.cli.place import Run, runner
from tests.cli.yard import Yard

OLD, NEW = (f"k{n}:" + b64encode(bytes([n]) * 32).decode() for n in (1, 2))


def subjects(cli: Run, *words: str) -> dict[str, tuple[str, str]]:
    found = cli("check", *words, "--json").json()["findings"]
    return {each["subject"]: (each["level"], each["finding"]) for each in found}


def test_what_happens_again_is_told(cli: Run, yard: Yard) -> None:
    yard.queued()
    yard.running()
    yard.rows("select outbox.sequence(array[%s::uuid])", yard.project)
    told = subjects(cli, "--restored")
    assert ("warn", "2 other jobs were due, may have run since, and run again") == told["jobs"]
    assert ("ok", "none was due") == told["deliveries"]
    assert told["gap"][1].startswith("somebody works on it already")
    assert told["leases"][1].startswith("1 of workers of before")
    assert {"gap", "deliveries", "jobs", "streams", "leases"} <= told.keys() - subjects(cli).keys()


def test_secrets_that_no_key_opens_are_counted(
    dsn: str, yard: Yard, capsys: pytest.CaptureFixture[str]
) -> None:
    before = runner(dsn, capsys, OUTBOXD_SECRET_KEYS=OLD)
    before("endpoints", "create", "https://example.com/", "--project", "shop")
    assert ("ok", "1 of endpoints, and each opens") == subjects(before)["secrets"]
    level, said = subjects(runner(dsn, capsys, OUTBOXD_SECRET_KEYS=NEW))["secrets"]
    assert ("fail", "1 of 1 sealed") == (level, said[:13])
