"""One system fills or drains one backlog, in a process of its own: `python -m outboxd.bench.drain`.

Reads an order as JSON from the first line of standard input. A drain says `ready` when everything is
imported and waits for another line, so that two processes start together; then one JSON line tells
what was done, or why it could not be.
"""

import importlib
import os
import signal
import sys
import time
from io import RawIOBase
from typing import Any, Literal

import msgspec

SYSTEMS = {
    "outboxd": "outboxd.bench.ours:Outboxd",
    "SQL verbs": "outboxd.bench.verbs:Verbs",
    "raw SQL": "outboxd.bench.raw:Raw",
    "procrastinate": "outboxd.bench.peers:Procrastinate",
    "pgqueuer": "outboxd.bench.peers:PgQueuer",
}


class Order(msgspec.Struct, frozen=True, kw_only=True):
    system: str
    dsn: str
    act: Literal["fill", "drain"]
    jobs: int
    batch: int = 100
    payload: str = "{}"
    wait_ms: int = 0
    """How long a handler of ours waits, as one that calls somebody does."""
    share: bool = False
    """Another process drains the same backlog: it is over when it is empty, not when so many ran here."""


class Did(msgspec.Struct, frozen=True, kw_only=True):
    """`began` and `ended` by the wall clock, so that two processes can be laid beside each other."""

    jobs: int = 0
    began: float = 0
    ended: float = 0
    version: str = ""
    why: str | None = None


def main() -> None:
    # Ctrl-C reaches the whole group: who measures tells of it, we end without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Whatever a system prints or logs goes to standard error: our answers have the other one for themselves.
    with os.fdopen(os.dup(1), "wb", buffering=0) as answers:
        os.dup2(2, 1)
        order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
        try:
            did = _fill(order) if order.act == "fill" else _drain(order, answers)
        except Exception as failed:  # noqa: BLE001 - a peer may fail in any way; that it did is the result
            did = Did(why=f"{type(failed).__name__}: {failed}".splitlines()[0][:300])
        answers.write(msgspec.json.encode(did) + b"\n")


def _fill(order: Order) -> Did:
    adapter = _adapter(order)
    adapter.setup()
    began = time.time()
    adapter.enqueue(order.jobs, order.payload)
    return Did(jobs=order.jobs, began=began, ended=time.time(), version=adapter.version)


def _drain(order: Order, answers: RawIOBase) -> Did:
    adapter = _adapter(order)
    if order.wait_ms:
        adapter.wait = order.wait_ms / 1000
    answers.write(b"ready\n")
    sys.stdin.buffer.readline()
    jobs, seconds = adapter.drain(order.jobs, order.batch)
    ended = time.time()
    if not order.share and jobs != order.jobs:
        raise RuntimeError(f"{jobs} of {order.jobs} jobs ran")
    return Did(jobs=jobs, began=ended - seconds, ended=ended, version=adapter.version)


def _adapter(order: Order) -> Any:
    module, _, name = SYSTEMS[order.system].partition(":")
    return getattr(importlib.import_module(module), name)(order.dsn)


if __name__ == "__main__":
    main()
