"""Where a drill runs: a private cluster, or one database that it made on a server of yours."""

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING

from outboxd.bench import place
from outboxd.bench.drill import faults as breaking
from outboxd.bench.drill import world as worlds
from outboxd.bench.drill.faults import Fault
from outboxd.bench.drill.pair import Pair
from outboxd.bench.drill.world import World

if TYPE_CHECKING:
    from outboxd.bench.drill.run import Plan

Staged = tuple[World, list[Fault], dict[str, str]]
"""The world, the faults that can be done there, and why the others cannot."""


@contextmanager
def stage(plan: "Plan", wanted: list[Fault], tell: Callable[[str], None]) -> Iterator[Staged]:
    """Says what will be done, and where, before anything is."""
    with folder(plan.keep, tell) as here:
        if plan.server is None:
            with _private(plan, wanted, here, tell) as staged:
                yield staged
        else:
            with _borrowed(plan, plan.server, wanted, here, tell) as staged:
                yield staged


@contextmanager
def folder(keep: bool, tell: Callable[[str], None]) -> Iterator[Path]:
    """One that the server's account may pass."""
    made = Path(tempfile.mkdtemp(prefix="outboxd-drill-"))
    made.chmod(0o711)
    try:
        yield made
    finally:
        if keep:
            tell(f"kept in {made}")
        else:
            rmtree(made, ignore_errors=True)


@contextmanager
def _private(plan: "Plan", wanted: list[Fault], here: Path, tell: Callable[[str], None]) -> Iterator[Staged]:
    small = any(fault.name == "disk" for fault in wanted)
    pair = Pair(here, standby=plan.standby, lossy=plan.lossy, small=small)
    waits = "asynchronous" if plan.lossy else "synchronous"
    beside = f", with a {waits} standby" if plan.standby else ""
    tell(f"a private cluster in {here}{beside}: {_list(wanted)}")
    try:
        pair.start()
        skipped = breaking.unable(wanted, own=True, standby=pair.standby is not None, disk=pair.confined)
        world = asyncio.run(worlds.build(pair.dsn, here / "ledger", pair))
        yield world, [fault for fault in wanted if fault.name not in skipped], skipped
    finally:
        pair.stop()


@contextmanager
def _borrowed(
    plan: "Plan", server: str, wanted: list[Fault], here: Path, tell: Callable[[str], None]
) -> Iterator[Staged]:
    """Nothing beyond the one database is touched: backends are ended there only, and only our role's."""
    skipped = breaking.unable(wanted, own=False, standby=False, disk=None)
    able = [fault for fault in wanted if fault.name not in skipped]
    tell(f"a database outboxd_drill_* on {place.where(server)}: {_list(able)}")
    with place.made(server, kind="drill", keep=plan.keep) as dsn:
        yield asyncio.run(worlds.build(dsn, here / "ledger")), able, skipped


def _list(faults: list[Fault]) -> str:
    return " ".join(fault.name for fault in faults)
