"""`outboxd events tail` against a running server."""

import argparse
import asyncio
import json
from datetime import timedelta

import pytest

from outboxd.cli import tail
from outboxd.cli.server import Server
from tests import seed
from tests.streams.pods import Pod


async def test_a_tail_prints_events_and_never_hides_a_reset(
    pod: Pod, tenant: seed.Tenant, capsys: pytest.CaptureFixture[str]
) -> None:
    await pod.publish(tenant, "a.x", payload={"n": 1})
    await pod.publish(tenant, "b")
    await pod.publish(tenant, "a.y")
    args = argparse.Namespace(position="ffffffff-7", type=["a.*"], payload=True, count=2)
    at = Server(url=f"http://127.0.0.1:{pod.port}", key=tenant.key, timeout=timedelta(seconds=5))
    await asyncio.to_thread(tail._follow, args, at, f"/v1/projects/{tenant.project}/stream")
    told, first, second = map(json.loads, capsys.readouterr().out.splitlines()[-3:])
    assert ("outboxd.reset", "epoch") == (told["stream"], told["reason"])
    assert ("a.x", {"n": 1}, "a.y") == (first["eventType"], first["payload"], second["eventType"])
