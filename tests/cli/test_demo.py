"""`outboxd demo` as a person starts it: the whole path, and nothing of it left behind."""

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from outboxd.cli.demo.story import STEPS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

COMMAND = [sys.executable, "-m", "outboxd", "demo"]


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A folder for temporary files of its own, empty again afterwards, and settings that must not matter."""
    # Not below pytest's folder: where we are root the server's account could not pass it.
    folder = Path("/tmp") / f"demo-test-{os.getpid()}"
    folder.mkdir(mode=0o711)
    yield {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "TMPDIR": str(folder),
        "OUTBOXD_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    }
    left = [str(path) for path in folder.iterdir()]
    for path in folder.iterdir():
        subprocess.run(["rm", "-rf", str(path)], check=True)
    folder.rmdir()
    assert [] == left
    assert [] == processes(str(folder))


def processes(folder: str) -> list[str]:
    """Command lines of processes that live in the folder."""
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            if str((proc / "cwd").readlink()).startswith(folder):
                found.append((proc / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def test_every_step_of_the_demo_holds(environ: dict[str, str]) -> None:
    done = subprocess.run([*COMMAND, "--exit"], env=environ, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr), done.stdout
    shown = re.findall(r"^  ✓ (.{18})", done.stdout, re.MULTILINE)
    assert ["Postgres", *(name for name, _ in STEPS)] == [name.strip() for name in shown]
    assert f"All {len(STEPS) + 1} steps held" in done.stdout


@pytest.mark.nightly
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_behind(environ: dict[str, str], how: signal.Signals) -> None:
    with subprocess.Popen([*COMMAND, "--exit"], env=environ, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if "an endpoint" in line:
                break
        running.send_signal(how)
        running.communicate(timeout=30)
    assert 130 == running.returncode


@pytest.mark.nightly
def test_on_a_terminal_it_stays_up_until_ctrl_c(environ: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    narrow = {**environ, "COLUMNS": "80"}
    with subprocess.Popen(COMMAND, env=narrow, stdin=theirs, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        shown = read_until(ours, "-d '")
        assert running.poll() is None
        running.send_signal(signal.SIGINT)
        read_until(ours, "Putting everything away.")
        assert 0 == running.wait(30)
    os.close(ours)
    drawn = [line for line in re.split(r"\r\n|\r\x1b\[K", shown) if "-H" not in line]
    assert [] == [line for line in drawn if len(re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line)) > 80]


def read_until(terminal: int, words: str) -> str:
    seen = ""
    while words not in seen:
        seen += os.read(terminal, 4096).decode(errors="replace")
    return seen


@pytest.mark.nightly
def test_a_step_that_fails_ends_it_with_1_and_what_was_missing(environ: dict[str, str]) -> None:
    running = subprocess.Popen(
        [*COMMAND, "--exit"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    for line in running.stdout:
        if server := re.search(r"server \S+ \(pid (\d+)\)", line):
            os.kill(int(server[1]), signal.SIGKILL)
            break
    out, err = running.communicate(timeout=60)
    assert 1 == running.returncode
    assert "✗" in out
    assert err.startswith("error: ")
    assert "server-1 said last:" in err
