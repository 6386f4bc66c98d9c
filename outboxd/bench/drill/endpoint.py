"""The webhook target, made over HTTP as any application makes one."""

import http.client
from typing import Any

import msgspec

from outboxd.bench.drill.receiver import Receiver
from outboxd.bench.drill.world import World


def make_endpoint(world: World, receiver: Receiver, port: int) -> None:
    """Subscribes the receiver to the orders, with retries short enough for a drill; tells it the secret."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    body = {"url": receiver.url, "types": ["drill.order"], "retrySchedule": [0] + [1] * 19, "timeoutMs": 5000}
    headers = {"Authorization": f"Bearer {world.key}", "Content-Type": "application/json"}
    link.request("POST", "/v1/endpoints", msgspec.json.encode(body), headers)
    answer = link.getresponse()
    reply: Any = msgspec.json.decode(answer.read())
    link.close()
    if answer.status != 201:
        raise RuntimeError(f"the endpoint was refused: {answer.status} {reply.get('message')}")
    receiver.secret = reply["secret"]
