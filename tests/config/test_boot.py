"""What stops a process before it does anything: exit 2 and every reason, in the words of the command line."""

from collections.abc import Mapping

import pytest

from outboxd.cli import frame
from tests.config.test_config import DSN, TEN_FAULTS, read
from tests.proofs import proves

BARE = {"PATH": "/usr/bin", "HOME": "/nonexistent", "OUTBOXD_DATA": "/nonexistent"}
WITH = {**BARE, "OUTBOXD_DATABASE_URL": DSN}
NO_MODE = "CLAUDE_MEM_AUTH_MODE=local-dev is not allowed in Docker, nor anywhere else"
LOSES = "embedded Postgres in a container loses your data with it: set OUTBOXD_DATABASE_URL"


@pytest.mark.parametrize(
    ("command", "environ", "text"),
    [
        ("serve", BARE, "OUTBOXD_DATABASE_URL: not set"),
        ("work", BARE, "`outboxd up` starts an embedded one"),
        ("up", {**BARE, "OUTBOXD_EMBEDDED": "off"}, "OUTBOXD_DATABASE_URL: not set"),
        ("up", {**BARE, "KUBERNETES_SERVICE_HOST": "10.3.0.1"}, LOSES),
        ("up", {**BARE, "container": "podman"}, LOSES),
        ("up", {**WITH, "CLAUDE_MEM_AUTH_MODE": "local-dev"}, NO_MODE),
        ("dev", {**WITH, "CLAUDE_MEM_AUTH_MODE": "none"}, NO_MODE),
        ("serve", {**WITH, "CLAUDE_MEM_AUTH_MODE": "local-dev"}, NO_MODE),
        ("work", {**WITH, "CLAUDE_MEM_ALLOW_LOCAL_DEV_BYPASS": "0"}, NO_MODE),
    ],
)
@proves("G8")
def test_a_process_that_must_not_start_says_why(
    command: str, environ: Mapping[str, str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = frame.run([command], environ)
    out, err = capsys.readouterr()
    assert (2, "") == (status, out)
    assert text in err
    assert "hunter2secret" not in err


@proves("G8")
def test_ten_faults_are_told_at_once_with_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == frame.run(["serve"], {**BARE, **TEN_FAULTS})
    err = capsys.readouterr().err
    assert len(TEN_FAULTS) == len(err.splitlines()) >= 10
    assert "OUTBOXD_LOG_LVEL: no such setting; the nearest is OUTBOXD_LOG_LEVEL" in err
    for name, said in TEN_FAULTS.items():
        assert name in err
        assert "secret" not in said.lower() or said not in err
    for secret in ("hunter2secret", "c2hvcnQ"):
        assert secret not in err


def test_the_port_that_a_platform_names_is_taken_where_ours_is_not_set() -> None:
    assert 5000 == read(PORT="5000").port
    assert 6000 == read(PORT="5000", OUTBOXD_PORT="6000").port
    assert {"OUTBOXD_PORT": "PORT"} == read(PORT="5000").sources


def test_dev_says_more_than_up() -> None:
    dev, up = read("dev"), read("up")
    assert (("debug", "text"), ("info", "auto")) == (
        (dev.log_level, dev.log_format),
        (up.log_level, up.log_format),
    )
