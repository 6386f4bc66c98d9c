"""The head of a report: what these figures are worth here."""

import os
import platform
import tempfile
import time
from pathlib import Path

import psycopg

_SETTINGS = (
    "fsync",
    "full_page_writes",
    "synchronous_commit",
    "shared_buffers",
    "max_wal_size",
    "wal_compression",
    "jit",
)


def describe(dsn: str) -> dict[str, object]:
    """Machine, server and settings, as plain values."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        settings = {name: str(conn.execute(f"show {name}").fetchone()[0]) for name in _SETTINGS}  # type: ignore[index]
        version = conn.info.server_version
    return {
        "host": {
            "system": platform.platform(),
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0],
            "fsync_ms": fsync_ms(),
        },
        "server": {"version": f"{version // 10000}.{version % 10000}", "settings": settings},
    }


def fsync_ms(times: int = 100) -> float:
    """Median milliseconds of one write of 8 kB and its fsync, where temporary files live."""
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        file = os.open(Path(folder) / "probe", os.O_WRONLY | os.O_CREAT)
        for _ in range(times):
            start = time.perf_counter()
            os.pwrite(file, bytes(8192), 0)
            os.fsync(file)
            taken.append(time.perf_counter() - start)
        os.close(file)
    return round(sorted(taken)[times // 2] * 1000, 3)


def warnings() -> list[str]:
    """What makes this run worth less, said aloud."""
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0]
    return [f"load average {load:.1f} on {cores} cores: the figures are noisy"] if load > cores else []
