"""Making a database cluster, whole or not at all.

It is initialised beside its place and renamed into it, so that a SIGKILL in the middle leaves
nothing that a later start could take for a cluster.
"""

import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

from outboxd.db.account import Account, dies_with_us
from outboxd.db.binaries import Binaries, children_environment
from outboxd.errors import Broken, ConfigError


def make(pgdata: Path, programs: Binaries, who: Account, *, role: str, unsafe: bool = False) -> None:
    """A new cluster of superuser `role`, whose random password goes to `password` beside it.

    `unsafe` skips the flush to disk. Raises Broken with what initdb said.
    """
    for stale in pgdata.parent.glob(f"{pgdata.name}.new.*"):
        shutil.rmtree(stale, ignore_errors=True)
    making = pgdata.with_name(f"{pgdata.name}.new.{os.getpid()}")
    who.own(making)
    password = secrets.token_urlsafe(24)
    _write_private(pgdata.parent / "password", password)
    common = [str(programs.initdb), "-D", str(making), "-U", role, "-A", "scram-sha-256", "-E", "UTF8"]
    common += ["--data-checksums", "--no-instructions"] + (["--no-sync"] if unsafe else [])
    try:
        _first_locale_that_works(common, programs.major, who, password)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    making.rename(pgdata)
    _sync(pgdata.parent)


def major_of(pgdata: Path) -> int | None:
    """The major version of an existing cluster, None when there is no directory.

    Raises ConfigError for a directory that is not a cluster: nothing is ever initialised over it.
    """
    if not pgdata.exists():
        return None
    try:
        return int((pgdata / "PG_VERSION").read_text().split(".")[0])
    except (FileNotFoundError, NotADirectoryError, ValueError):
        if pgdata.is_dir() and not any(pgdata.iterdir()):
            pgdata.rmdir()
            return None
        raise ConfigError([f"OUTBOXD_DATA: {pgdata} is not empty and not a PostgreSQL cluster"]) from None


def _first_locale_that_works(common: list[str], major: int, who: Account, password: str) -> None:
    """C.UTF-8 is not on every system; plain C sorts in the same way."""
    locales = [["--locale=C.UTF-8"], ["--locale=C"]]
    if major >= 17:
        locales.insert(1, ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"])
    said = b""
    for locale in locales:
        done = _initdb([*common, *locale], who, password)
        if done.returncode == 0:
            return
        said = done.stderr
        if b"locale" not in said:
            break
    raise Broken("initdb failed: " + " ".join(said.decode(errors="replace").strip().splitlines()[-4:]))


def _initdb(command: list[str], who: Account, password: str) -> subprocess.CompletedProcess[bytes]:
    reading = _pipe_with(password, who)
    try:
        return subprocess.run(  # noqa: S603  the program is one that `binaries` found
            [*command, f"--pwfile=/dev/fd/{reading}"],
            cwd="/",
            env=children_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            pass_fds=[reading],
            start_new_session=True,
            preexec_fn=dies_with_us(signal.SIGKILL),
            **who.rights(),
        )
    finally:
        os.close(reading)


def _pipe_with(password: str, who: Account) -> int:
    """The password goes over an inherited descriptor: neither `ps` nor a readable file shows it."""
    reading, writing = os.pipe()
    if not who.is_us:
        os.fchown(reading, who.uid, who.gid)  # it is opened again by its name
    os.write(writing, password.encode() + b"\n")
    os.close(writing)
    return reading


def _write_private(file: Path, text: str) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text + "\n")
        out.flush()
        os.fsync(out.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
