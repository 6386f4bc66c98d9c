"""A small file system for WAL that can be filled without harm to anybody: a tmpfs of the drill's own."""

import shutil
import subprocess
from pathlib import Path

from outboxd.db import account

_BYTES = 256 * 2**20


class Room:
    """Mounting needs root; `refused` says why there is none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mounted = False
        self.refused: str | None = None

    def open(self) -> bool:
        """Whether there is one now."""
        self.folder.mkdir(mode=0o711, exist_ok=True)
        program = shutil.which("mount")
        if program is None:
            self.refused = "there is no mount here"
            return False
        options = ["-t", "tmpfs", "-o", f"size={_BYTES}", "outboxd-drill", str(self.folder)]
        done = subprocess.run([program, *options], capture_output=True, text=True, check=False)
        self.mounted = done.returncode == 0
        if not self.mounted:
            self.refused = f"mounting a small file system was refused: {done.stderr.strip()}"
        return self.mounted

    def take(self, pgdata: Path) -> None:
        """Moves the WAL of a server that does not run in here, and leaves a link in its place."""
        if not self.mounted and not self.open():
            return
        inside = self.folder / "pg_wal"
        shutil.rmtree(inside, ignore_errors=True)
        account.choose(None).own(inside)
        for piece in (pgdata / "pg_wal").iterdir():
            shutil.copytree(piece, inside / piece.name) if piece.is_dir() else shutil.copy2(piece, inside)
        shutil.rmtree(pgdata / "pg_wal")
        (pgdata / "pg_wal").symlink_to(inside)
        self._hand_over(inside)

    def fill(self) -> None:
        """Until nothing more fits."""
        with (self.folder / "filler").open("wb", buffering=0) as filler:
            try:
                while filler.write(bytes(2**20)):
                    pass
            except OSError:
                return

    def free(self) -> None:
        (self.folder / "filler").unlink(missing_ok=True)

    def close(self) -> None:
        """Nothing stays mounted."""
        if self.mounted:
            subprocess.run(["umount", str(self.folder)], check=False, capture_output=True)  # noqa: S607
            self.mounted = False

    @staticmethod
    def _hand_over(inside: Path) -> None:
        who = account.choose(None)
        if not who.is_us:
            for piece in (inside, *inside.rglob("*")):
                shutil.chown(piece, who.uid, who.gid)
