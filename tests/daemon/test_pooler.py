"""The whole of it through PgBouncer in transaction mode: events, jobs, lanes, webhooks, streams, rescue."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

from outboxd.bench.drill import faults
from outboxd.bench.drill import world as worlds
from outboxd.bench.drill.crew import Crew, Member, Way
from outboxd.bench.drill.judge import Verdict
from outboxd.bench.drill.run import Plan, run
from outboxd.bench.drill.stage import folder
from outboxd.bench.drill.world import World
from tests.daemon import pooler

proves = pytest.mark.proves
pytestmark = [
    pytest.mark.skipif(pooler.PROGRAM is None, reason="pgbouncer is not installed"),
    pytest.mark.drill,
]
UNPREPARED = "prepared statements do not work here"
DEAF = "hints do not arrive"


@contextmanager
def world_of(dsn: str) -> Iterator[World]:
    with folder(keep=False, tell=print) as here:
        yield asyncio.run(worlds.build(dsn, here / "ledger"))


def drilled(world: World, way: Way, seconds: float, told: dict[str, list[str]]) -> Verdict:
    """A small drill through the pooler. `told` gets the readiness of LISTEN, and the logs."""

    def during(crew: Crew) -> None:
        told["listen"] = [listening(member) for member in crew.apis]

    plan = Plan(seconds=seconds, seed=3, apis=1, workers=2, rate=10, pause=1)
    found = run(world, plan, faults.chosen({"kill"}), print, way=way, during=during)
    told["logs"] = [file.read_text() for file in world.ledger.parent.glob("*.log")]
    return found


def listening(api: Member) -> str:
    with httpx2.Client(base_url=f"http://127.0.0.1:{api.port}", timeout=10) as client:
        said: str = client.get("/readyz").json()["checks"]["listen"]
        return said


@proves("G7")
@pytest.mark.parametrize(
    ("prepare", "listens", "readiness"),
    [
        pytest.param("auto", False, "degraded", marks=pytest.mark.nightly),
        pytest.param("auto", True, "ok", marks=pytest.mark.nightly),
        pytest.param("off", True, "ok", marks=pytest.mark.nightly),
        pytest.param("off", False, "degraded", marks=pytest.mark.nightly),
    ],
)
def test_everything_holds_through_a_pooler_in_transaction_mode(
    empty_dsn: str, prepare: str, listens: bool, readiness: str
) -> None:
    """Without a direct connection for LISTEN it is degraded, says so at boot, and goes on by polling."""
    told: dict[str, list[str]] = {}
    with world_of(empty_dsn) as world, pooler.before(empty_dsn) as through:
        way = Way(dsn=through, listens=listens, environ={"OUTBOXD_PREPARE": prepare})
        found = drilled(world, way, 3, told)
    assert [] == found.broken
    assert found.figures.acknowledged > 20
    assert [readiness] == told["listen"]
    assert listens != any(DEAF in log for log in told["logs"])
    assert ("auto" == prepare) == any(UNPREPARED in log for log in told["logs"])
