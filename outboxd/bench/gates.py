"""What a notification costs the producers: never, to who sleeps only, always."""

import asyncio
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psycopg

from outboxd.bench import daemons, tenants
from outboxd.bench.ground import PAYLOAD, Ground, NotMeasuredError
from outboxd.bench.measure import Measure
from outboxd.db import binaries

CLIENTS = (32, 64)
_MODES = ("off", "gated", "always")
_SLOW_CLIENTS = 16
_SLOW_SECONDS = 0.3
_PUBLISH = f"select outbox.publish('{tenants.EVENT}', '{PAYLOAD}', '%s')%s;\n"
_TOLD = ", pg_notify('outbox_pending', '')"


async def _single(ground: Ground, system: str) -> Mapping[str, float]:
    """Single rows, with a worker and a sequencer in another process that keep up as they can."""
    found = {}
    for clients in CLIENTS:
        for mode in _MODES:
            found[f"gate {clients} {mode}"] = await _mode(ground, mode, clients, "%s")
    return found


async def _slow(ground: Ground, system: str) -> Mapping[str, float]:
    """Producers that hold their transactions for 300 ms: against as many as could be, if nobody waited."""
    script = "begin;\n%s\\sleep 300 ms\ncommit;\n"
    ideal = _SLOW_CLIENTS / _SLOW_SECONDS
    return {f"gate slow {mode}": await _mode(ground, mode, _SLOW_CLIENTS, script) / ideal for mode in _MODES}


async def _mode(ground: Ground, mode: str, clients: int, script: str) -> float:
    async with ground.database() as dsn:
        (project,) = tenants.prepare(dsn)
        with psycopg.connect(dsn, autocommit=True) as conn:
            name = conn.info.dbname
            setting = "gated" if mode == "gated" else "off"
            conn.execute(f"alter database \"{name}\" set outbox.notify = '{setting}'")
        publish = _PUBLISH % (project, _TOLD if mode == "always" else "")
        async with daemons.work(dsn):
            ground.checkpoint()
            return await _pgbench(dsn, clients, script % publish, ground.size.seconds)


async def _pgbench(dsn: str, clients: int, script: str, seconds: float) -> float:
    """Transactions a second, connecting left out."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "script.sql"
        file.write_text(script)
        said = [
            _program(),
            "-n",
            "-M",
            "prepared",
            "-c",
            str(clients),
            "-j",
            "2",
            "-T",
            str(max(1, round(seconds))),
        ]
        process = await asyncio.create_subprocess_exec(
            *said, "-f", str(file), dsn, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        told, wrong = await process.communicate()
    line = next((line for line in told.decode().splitlines() if line.startswith("tps = ")), None)
    if process.returncode or line is None:
        raise NotMeasuredError(f"pgbench: {wrong.decode().strip().splitlines()[-1:]}")
    return float(line.split()[2])


def _program() -> str:
    """Beside the server's programs, or on the path."""
    for found in binaries.found():
        if (found.folder / "pgbench").exists():
            return str(found.folder / "pgbench")
    program = shutil.which("pgbench")
    if program is None:
        raise NotMeasuredError("pgbench is not installed")
    return program


MEASURES = (
    Measure(
        name="gate",
        gives={f"gate {clients} {mode}": "events/s" for clients in CLIENTS for mode in _MODES},
        take=_single,
        rounds=3,
    ),
    Measure(
        name="gate slow", gives={f"gate slow {mode}": "of ideal" for mode in _MODES}, take=_slow, rounds=2
    ),
)
