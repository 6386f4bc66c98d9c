"""Finding the embedded server that another process runs, so that a command can work on its database."""

from pathlib import Path
from urllib.parse import quote

from outboxd.db import postmaster

_SOCKETS_LINE = 4  # of postmaster.pid, from 0: the first folder with a socket


def dsn(data: Path) -> str | None:
    """Of the server that lives in this data directory; None when there is none, or it is not ours to read."""
    try:
        if postmaster.left_over(data / "pgdata") is None:
            return None
        sockets = (data / "pgdata/postmaster.pid").read_text().splitlines()[_SOCKETS_LINE]
        password = (data / "password").read_text().strip()
    except (OSError, IndexError):
        return None
    return f"postgresql://outboxd:{password}@/outboxd?host={quote(sockets, safe='')}"
