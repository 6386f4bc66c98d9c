"""The account that embedded Postgres runs as: ours, or, because it refuses root, another one.

No account is created and no mode of a directory that is not ours is changed. What the account
cannot reach is copied (programs) or said aloud (the data directory).
"""

import ctypes
import os
import pwd
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from outboxd.errors import ConfigError

_CANDIDATES = ("outboxd", "postgres", "nobody")
_PR_SET_PDEATHSIG = 1


class Account(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    uid: int
    gid: int

    @property
    def is_us(self) -> bool:
        return self.uid == os.geteuid()

    def rights(self) -> dict[str, Any]:
        """The arguments of Popen that make a child this account's; none when that is what we are."""
        return {} if self.is_us else {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, place: Path) -> None:
        """Makes a directory of ours 0700, the account's, and nobody else's."""
        place.mkdir(mode=0o700, exist_ok=True)
        if not self.is_us:
            os.chown(place, self.uid, self.gid)
        place.chmod(0o700)

    def can_run(self, program: Path) -> bool:
        """Tried, not computed: it knows about libraries, mount options and access lists too."""
        try:
            done = subprocess.run(  # noqa: S603  the program is one that `binaries` found
                [program, "--version"], cwd="/", capture_output=True, check=False, **self.rights()
            )
        except OSError:
            return False
        return done.returncode == 0

    def blocked_by(self, place: Path) -> Path | None:
        """The topmost directory on the way to `place` that the account may not pass, or None."""
        for parent in reversed(place.resolve().parents):
            if not self._passes(parent.stat()):
                return parent
        return None

    def _passes(self, of: os.stat_result) -> bool:
        if of.st_uid == self.uid:
            return bool(of.st_mode & stat.S_IXUSR)
        if of.st_gid == self.gid:
            return bool(of.st_mode & stat.S_IXGRP)
        return bool(of.st_mode & stat.S_IXOTH)


def choose(configured: str | None = None) -> Account:
    """Ourselves; as root `configured` (OUTBOXD_PG_USER) or the first of outboxd, postgres, nobody.

    Raises ConfigError when none of them is in the password file, which initdb needs.
    """
    if os.geteuid() != 0:
        return _ourselves()
    for name in [configured] if configured else _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid == 0:
            raise ConfigError(["OUTBOXD_PG_USER: PostgreSQL refuses to run as root"])
        return _account(entry)
    wanted = configured or ", ".join(_CANDIDATES)
    raise ConfigError([f"OUTBOXD_PG_USER: no account {wanted}, and PostgreSQL refuses to run as root"])


def dies_with_us(how: signal.Signals) -> Callable[[], None] | None:
    """A `preexec_fn`: the kernel sends `how` to the child when we are gone; None where it cannot.

    It runs after the drop of rights, which would clear the setting. The signal comes when the
    *thread* that made the child ends, so the child must be made by the main thread.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # looked up before the fork, not after
    parent = os.getpid()

    def arrange() -> None:
        prctl(_PR_SET_PDEATHSIG, int(how), 0, 0, 0)
        if os.getppid() != parent:  # gone before the signal was arranged
            os._exit(1)

    return arrange


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)


def _ourselves() -> Account:
    try:
        return _account(pwd.getpwuid(os.geteuid()))
    except KeyError:
        problem = f"PostgreSQL needs an entry for user {os.geteuid()} in the password file: add one"
        raise ConfigError([f"{problem}, or set OUTBOXD_DATABASE_URL"]) from None
