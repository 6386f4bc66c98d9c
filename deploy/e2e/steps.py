"""The steps, in order; each asserts what it says and returns what it saw."""

import http.client
import re
import threading
import time
from collections import Counter
from typing import Any

from deploy.e2e.receiver import Receiver
from deploy.e2e.stream import Follower
from deploy.e2e.talk import Talk, expect, until
from deploy.e2e.world import BATCH, World

_QUEUE = "observe"
_DRAIN_LIMIT = 42.5
"""OUTBOXD_DRAIN_DELAY_S, OUTBOXD_DRAIN_S and 10 s."""
_REVOKED_WITHIN = 5.0
_DEV_AUTH = "CLAUDE_MEM_AUTH_MODE=local-dev is not allowed in Docker"
_DONE = re.compile(r'^outboxd_jobs_total\{.*outcome="completed".*\} (\S+)$', re.MULTILINE)


def begin(world: World) -> str:
    """Schema, first keys, a project of its own, one api and one worker."""
    world.stage.cli("migrate")
    world.stage.cli("keys", "bootstrap", "--json")
    world.make_project()
    world.stage.start("api", "worker")
    path = f"/v1/projects/{world.project}/stream"
    world.follower = Follower(world.stage.url, path, world.key("streams:read"))
    until("the stream is open", lambda: world.follower.connections)
    return "migrated; a project and its keys; an api, a worker and a subscriber"


def doors(world: World) -> str:
    """Nobody, a stranger, and a key that may only read."""
    event = world.deed("doors")
    asked = {
        "nobody": Talk(world.stage.url),
        "a stranger": Talk(world.stage.url, f"obx_{'a' * 43}"),
        "a reader": Talk(world.stage.url, world.key("events:read", "memories:read")),
    }
    seen = {who: talk.status("POST", "/v1/events", event) for who, talk in asked.items()}
    expect(seen == {"nobody": 401, "a stranger": 403, "a reader": 403}, f"they were answered {seen}")
    expect(asked["a reader"].status("GET", "/v1/events") == 200, "a reader may not read")
    expect(world.admin.got("/v1/events")["events"] == [], "what was refused was stored")
    return "401 without a key, 403 for a stranger and for a key that may only read"


def agent(world: World) -> str:
    """A session; a request that waits for its observation; search finds it."""
    session = world.admin.posted(
        "/v1/sessions/start", {"contentSessionId": "e2e", "platformSource": "claude"}
    )
    event = {**world.deed("agent"), "contentSessionId": "e2e", "platformSource": "claude"}
    told = world.admin.posted("/v1/events", event, wait="true")
    world.accepted.append(told["event"]["id"])
    state = (told.get("generationJob") or {}).get("status")
    expect(state == "completed", f"the job of the observation is {state}")
    expect(told["event"]["serverSessionId"] == session["session"]["id"], "the event is of another session")
    found = world.admin.posted("/v1/search", {"query": "agent-0000"})["observations"]
    expect(len(found) == 1, f"search found {len(found)} observations")
    return f"session, event, generation done, observation found: {found[0]['metadata']['title']}"


def webhook(world: World) -> str:
    world.stage.cli("projects", "egress", world.project, "on")
    receiver = Receiver(world.stage.listens)
    try:
        target = f"http://{world.stage.host}:{receiver.port}/hook"
        made = world.admin.posted("/v1/endpoints", {"url": target, "types": ["order.*"]})
        receiver.secret = made["secret"]
        order = {"eventType": "order.paid", "payload": {"order": 7}}
        told = world.admin.posted("/v1/events", order, generate="false")
        world.accepted.append(told["event"]["id"])
        until("the webhook", lambda: receiver.received)
        expect((receiver.received, receiver.forged) == (["order.paid"], 0), f"came: {receiver.received}")
        path = f"/v1/endpoints/{made['endpoint']['id']}"
        expect(world.admin.status("DELETE", path) == 204, "the endpoint could not be removed")
    finally:
        receiver.close()
    return "delivered once, signature verified"


def killed(world: World) -> str:
    """Everything that was acknowledged outlives SIGKILL of api and worker, in the middle of the work."""
    world.stage.cli("queues", "pause", _QUEUE)
    world.publish("killed", world.size.queued)
    world.stage.cli("queues", "resume", _QUEUE)
    cut = threading.Thread(target=lambda: _publish_until_cut(world))
    cut.start()
    until("more was published", lambda: len(world.accepted) % BATCH, limit=10)
    world.stage.kill("worker", "api")
    cut.join()
    began = time.monotonic()
    world.stage.start("api", "worker")
    world.until_observed()
    return f"{world.size.queued} queued, both killed and started: none lost, {time.monotonic() - began:.1f} s"


def revoked(world: World) -> str:
    """Refused at once where it would write, and soon where it would read; a restart changes nothing."""
    made = world.mint("events:write", "events:read", "memories:read")
    talk = Talk(world.stage.url, made["apiKey"])
    expect(talk.status("GET", "/v1/events") == 200, "the key does not work")
    world.stage.cli("keys", "revoke", made["key"]["id"])
    written = talk.status("POST", "/v1/events", world.deed("revoked"))
    expect(written == 403, f"a write was answered {written}")
    began = time.monotonic()
    until("reads are refused", lambda: talk.status("GET", "/v1/events") == 403, limit=_REVOKED_WITHIN)
    took = time.monotonic() - began
    status, _ = world.stage.stop("api", _DRAIN_LIMIT)
    expect(status == 0, f"the api ended with {status}")
    world.stage.start("api")
    after = {method: talk.status(method, "/v1/events", world.deed("revoked")) for method in ("GET", "POST")}
    expect(set(after.values()) == {403}, f"after the restart: {after}")
    return f"writes refused at once, reads after {took:.1f} s, both after a restart too"


def together(world: World) -> str:
    """A second worker; every job has its effect once, and both have worked."""
    world.stage.start("worker-2")
    before = {name: _done(world, name) for name in ("worker", "worker-2")}
    began = time.monotonic()
    world.publish("shared", world.size.shared)
    world.until_observed()
    took = time.monotonic() - began
    did = {name: round(_done(world, name) - count) for name, count in before.items()}
    expect(all(did.values()), f"one of them did nothing: {did}")
    expect(sum(did.values()) >= world.size.shared, f"together they did only {did}")
    return (
        f"{world.size.shared} jobs, each effect once, in {took:.1f} s: {did['worker']} and {did['worker-2']}"
    )


def gapless(world: World) -> str:
    """The subscriber that came again after each restart has missed nothing and saw nothing twice."""
    follower = world.follower
    until("the stream has everything", lambda: set(world.accepted) <= set(follower.ids))
    steps = {later - earlier for earlier, later in zip(follower.numbers, follower.numbers[1:], strict=False)}
    expect(steps <= {1}, f"positions go on by {sorted(steps)}")
    twice = [each for each, count in Counter(follower.ids).items() if count > 1]
    expect(not twice, f"{len(twice)} events came twice")
    odd = [said for said in follower.said if not said.startswith("outboxd.close")]
    expect(not odd, f"the stream said {odd}")
    expect(follower.connections > 2, "the stream was never cut")
    return f"{len(follower.ids)} events over {follower.connections} connections, no gap, none twice"


def no_dev_auth(world: World) -> str:
    status, said = world.stage.refused(CLAUDE_MEM_AUTH_MODE="local-dev")
    expect(status == 2 and _DEV_AUTH in said, f"it ended with {status}: {said}")
    return "a process with CLAUDE_MEM_AUTH_MODE=local-dev ends with 2"


def stopped(world: World) -> str:
    """SIGTERM with an open stream."""
    expect(world.admin.got("/v1/events", limit=1)["events"], "the api does not answer")
    goodbyes = len(world.follower.said)
    status, took = world.stage.stop("api", _DRAIN_LIMIT)
    expect(status == 0, f"the api ended with {status}")
    until("the stream was told", lambda: len(world.follower.said) > goodbyes, limit=5)
    world.follower.stop()
    for name in ("worker", "worker-2"):
        ended, _ = world.stage.stop(name, _DRAIN_LIMIT)
        expect(ended == 0, f"{name} ended with {ended}")
    return f"exit 0 after {took:.1f} s, the stream was told; workers too"


STEPS = (
    begin, doors, agent, webhook, killed, revoked, together, gapless, no_dev_auth, stopped,
)  # fmt: skip


def _publish_until_cut(world: World) -> None:
    """One event after the other until the api is gone; what was acknowledged counts."""
    for number in range(10_000):
        event: dict[str, Any] = {"eventType": "order.seen", "payload": {"n": number}}
        try:
            status, told = world.admin.call("POST", "/v1/events", event, {"generate": "false"})
        except (OSError, http.client.HTTPException):
            return
        if status == 201:
            world.accepted.append(told["event"]["id"])


def _done(world: World, name: str) -> float:
    return sum(map(float, _DONE.findall(world.stage.metrics(name))))
