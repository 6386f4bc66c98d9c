"""The end-to-end script of deploy/, as `make e2e` runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.e2e import steps
from deploy.e2e.receiver import Receiver
from tests.daemon import pooler

ROOT = Path(__file__).parents[2]


def ran(*words: str, **given: str) -> str:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("OUTBOXD_")} | given
    done = subprocess.run(
        [sys.executable, "-m", "deploy.e2e", *words],
        cwd=ROOT,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


@pytest.mark.nightly
def test_the_short_form_holds(dsn: str) -> None:
    assert len(steps.STEPS) == ran("--short", "--dsn", dsn).count("✓")


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_the_whole_script_holds_on_an_embedded_server() -> None:
    assert len(steps.STEPS) == ran().count("✓")


@pytest.mark.nightly
@pytest.mark.timeout(300)
@pytest.mark.skipif(pooler.PROGRAM is None, reason="pgbouncer is not installed")
@pytest.mark.parametrize("listens", [True, False], ids=["direct LISTEN", "no LISTEN"])
def test_it_holds_through_pgbouncer_in_transaction_mode(dsn: str, listens: bool) -> None:
    direct = {"OUTBOXD_LISTEN_URL": dsn} if listens else {}
    with pooler.before(dsn) as through:
        told = ran("--short", "--dsn", through, OUTBOXD_PREPARE="off", **direct)
    assert len(steps.STEPS) == told.count("✓")


def test_a_step_that_fails_ends_it_with_1() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.e2e", "--dsn", "no database"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (1, True) == (done.returncode, "✗ begin" in done.stdout), done.stdout


def test_the_receiver_takes_no_forged_webhook() -> None:
    receiver = Receiver("127.0.0.1")
    receiver.secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = {"webhook-id": "a", "webhook-timestamp": "1", "webhook-signature": "v1,nothing"}
    assert not receiver.genuine(headers, b"{}")
    receiver.close()
