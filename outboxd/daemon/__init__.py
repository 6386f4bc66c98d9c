"""What runs: everything is built once here, started, watched, and stopped in order.

    process    one process of the given roles, from boot to exit status
    parts      what it is made of: pool, listener, wakes, loops, api, worker
    boot       what must be true before it is ready: schema, settings, partitions
    readiness  what it knows of itself
    web        the HTTP server, and the listener for metrics
    supervised what systemd hears from it
    signals    SIGTERM drains, a second one hurries
    pace       which event loop, and how rarely the garbage collector looks
    private    `up`: a Postgres of its own, first keys, a data directory

A crash of one loop ends the process with status 1: a supervisor starts it again, and half a
process helps nobody. A database that is away is no crash: every loop waits for it.
"""

from outboxd.config import Config
from outboxd.daemon import pace
from outboxd.daemon.private import up
from outboxd.daemon.process import Process
from outboxd.telemetry import configure_logging

__all__ = ["serve", "up", "work"]


def serve(config: Config) -> int:
    """HTTP, ingest, numbering and upkeep, until a signal; the exit status."""
    return _run(config)


def work(config: Config, *, until_empty: bool = False) -> int:
    """Jobs, numbering and upkeep, until a signal, or until nothing is due; the exit status."""
    return _run(config, until_empty=until_empty)


def _run(config: Config, *, until_empty: bool = False) -> int:
    configure_logging(config)
    process = Process(config, until_empty=until_empty)
    return pace.run(process.run())
