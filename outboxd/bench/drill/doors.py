"""What any application sets up over HTTP: a webhook target, a schedule; and how all of us here ask."""

import http.client
import time
from typing import Any

import msgspec

from outboxd.bench.drill.receiver import Receiver
from outboxd.bench.drill.world import World

EVERY = 10
"""Seconds between two ticks: the shortest there are."""
_PATIENCE = 60.0


def ask(
    world: World, port: int, method: str, path: str, body: Any = None, wait: float = 10
) -> tuple[int, Any]:
    """Status and decoded body. Raises OSError, http.client.HTTPException."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=wait)
    try:
        headers = {"Authorization": f"Bearer {world.key}", "Content-Type": "application/json"}
        link.request(method, path, None if body is None else msgspec.json.encode(body), headers)
        answer = link.getresponse()
        said = answer.read()
        return answer.status, msgspec.json.decode(said) if said else None
    finally:
        link.close()


def make_endpoint(world: World, receiver: Receiver, port: int) -> None:
    """Subscribes the receiver to the orders, with retries short enough for a drill; tells it the secret."""
    body = {"url": receiver.url, "types": ["drill.order"], "retrySchedule": [0] + [1] * 19, "timeoutMs": 5000}
    reply = _made(world, port, "/v1/endpoints", body)
    receiver.secret = reply["secret"]


def make_schedule(world: World, port: int) -> str:
    """Its id. Each tick is an event; what was missed is caught up with."""
    body = {"name": "tick", "cron": f"every {EVERY}s", "type": "drill.tick", "payload": {}, "missed": "all"}
    made: str = _made(world, port, "/v1/schedules", body)["schedule"]["id"]
    return made


def drop_schedule(world: World, ports: list[int], schedule: str) -> None:
    """Asked of each process in turn until one has done it, or somebody else had. Raises RuntimeError."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        for port in ports:
            try:
                status, _ = ask(world, port, "DELETE", f"/v1/schedules/{schedule}")
            except (OSError, http.client.HTTPException):
                continue
            if status in {204, 404}:
                return
        time.sleep(0.2)
    raise RuntimeError("nobody took the schedule back")


def _made(world: World, port: int, path: str, body: dict[str, Any]) -> Any:
    status, reply = ask(world, port, "POST", path, body)
    if status != 201:
        raise RuntimeError(f"{path} was refused: {status} {reply.get('message')}")
    return reply
