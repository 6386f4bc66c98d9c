"""outboxd as one file: built here, and run from an empty directory with an empty environment."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from outboxd import __version__
from outboxd.config import program

ROOT = Path(__file__).parents[2]
BUILD_LIMIT, RUN_LIMIT = 600, 120


@pytest.fixture
def empty() -> Iterator[Path]:
    """Not below pytest's folder: where we are root the server's account could not pass it."""
    folder = Path("/tmp") / f"outboxd-build-test-{os.getpid()}"
    folder.mkdir(mode=0o711)
    yield folder
    shutil.rmtree(folder)


def built(out: Path, *asked: str) -> Path:
    for tool in ("shiv", "PyInstaller"):
        pytest.importorskip(tool, reason=f"{tool} is not installed here")
    done = subprocess.run(
        [sys.executable, ROOT / "deploy/build.py", *asked, "--out", out],
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_LIMIT,
    )
    assert 0 == done.returncode, done.stderr
    [made] = [path for path in out.iterdir() if path.name.startswith("outboxd")]
    return made


def ran(folder: Path, *words: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=RUN_LIMIT
    )


@pytest.mark.nightly
@pytest.mark.timeout(BUILD_LIMIT)
def test_the_single_file_needs_nothing_but_its_python(empty: Path, tmp_path: Path) -> None:
    file, unpacked = built(tmp_path / "dist", "pyz"), {"SHIV_ROOT": str(tmp_path / "unpacked")}
    version = ran(empty, sys.executable, file, "version", **unpacked)
    assert (0, "") == (version.returncode, version.stderr)
    assert __version__ in version.stdout
    check = ran(empty, sys.executable, file, "check", **unpacked)
    assert 2 == check.returncode
    assert check.stderr.startswith("error: no database: ")
    assert [] == list(empty.iterdir())


@pytest.mark.nightly
@pytest.mark.timeout(BUILD_LIMIT)
def test_the_single_file_with_postgres_shows_the_whole_demo(empty: Path, tmp_path: Path) -> None:
    file = built(tmp_path / "dist", "pyz", "--postgres")
    done = ran(empty, sys.executable, file, "demo", "--exit", SHIV_ROOT=str(empty / "unpacked"))
    assert (0, "") == (done.returncode, done.stderr), done.stdout


@pytest.mark.nightly
@pytest.mark.timeout(BUILD_LIMIT)
def test_the_binary_needs_nothing_at_all(empty: Path, tmp_path: Path) -> None:
    file = built(tmp_path / "dist", "binary")
    version = ran(empty, file, "version")
    assert (0, "") == (version.returncode, version.stderr)
    assert __version__ in version.stdout
    assert 2 == ran(empty, file, "check").returncode
    done = ran(empty, file, "demo", "--exit")
    assert (0, "") == (done.returncode, done.stderr), done.stdout
    assert "PostgreSQL 18" in done.stdout
    assert [] == list(empty.iterdir())


def test_another_process_of_ours_finds_the_same_code(tmp_path: Path) -> None:
    done = ran(tmp_path, sys.executable, "-m", "outboxd", "version", **program.inherited())
    assert (0, "") == (done.returncode, done.stderr)


def test_a_binary_hands_on_where_it_was_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setenv("_PYI_APPLICATION_HOME_DIR", "/tmp/_MEIxyz")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/tmp/_MEIxyz")
    monkeypatch.setenv("OUTBOXD_API_KEY", "of somebody")
    assert {"_PYI_APPLICATION_HOME_DIR", "LD_LIBRARY_PATH"} <= set(program.inherited())
    assert "OUTBOXD_API_KEY" not in program.inherited()
