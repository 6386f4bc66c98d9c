"""What the walks have to know of each route besides /openapi.json: a new route needs its lines here."""

import time
from typing import Any

NAMES = {
    "/v1/events/{id}": "event",
    "/v1/events/{id}/timeline": "event",
    "/v1/events/{id}/observations": "event",
    "/v1/memories/{id}": "memory",
    "/v1/projects/{id}/memory": "project",
    "/v1/jobs/{id}/snooze": "job",
    "/v1/queues/{queue}": "queue",
    "/v1/queues/{queue}/claim": "queue",
    "/v1/leases/{lease}/settle": "lease",
    "/v1/leases/{lease}/extend": "lease",
    "/v1/leases/{lease}/release": "lease",
    "/v1/leases/{lease}/report": "lease",
    "/v1/leases/{lease}/jobs/{id}/payload": "lease",
    "/v1/routes/{id}": "route",
    "/v1/jobs/{id}": "job",
    "/v1/jobs/{id}/attempts": "job",
    "/v1/jobs/{id}/why": "job",
    "/v1/jobs/{id}/retry": "job",
    "/v1/jobs/{id}/cancel": "job",
    "/v1/teams/{id}/jobs": "team",
    "/v1/projects/{id}/jobs": "project",
    "/v1/projects/{id}/feed": "project",
    "/v1/projects/{id}/position": "project",
    "/v1/endpoints/{id}": "endpoint",
    "/v1/endpoints/{id}/secret": "endpoint",
    "/v1/endpoints/{id}/secret/rotate": "endpoint",
    "/v1/endpoints/{id}/enable": "endpoint",
    "/v1/endpoints/{id}/disable": "endpoint",
    "/v1/endpoints/{id}/test": "endpoint",
    "/v1/endpoints/{id}/deliveries": "endpoint",
    "/v1/endpoints/{id}/deliveries/{jobId}/redeliver": "endpoint",
    "/v1/endpoints/{id}/recover": "endpoint",
    "/v1/interactions/{id}": "interaction",
    "/v1/interactions/{id}/answer": "interaction",
    "/v1/schedules/{id}": "schedule",
    "/v1/schedules/{id}/run": "schedule",
    "/v1/sessions/{id}": "session",
    "/v1/sessions/{id}/end": "session",
    "/v1/teams/{id}": "team",
    "/v1/projects/{id}": "project",
    "/v1/keys/{id}": "key",
    "/v1/keys/{id}/rotate": "key",
}
"""Path → what its first `{…}` names."""

BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/v1/events"): {"eventType": "a"},
    ("POST", "/v1/events/batch"): [{"eventType": "a"}],
    ("POST", "/v1/jobs"): {"queue": "b"},
    ("POST", "/v1/jobs/{id}/snooze"): {"untilEpoch": round(time.time() * 1000) + 3_600_000},
    ("POST", "/v1/jobs/purge"): {"filter": {"status": ["failed"]}},
    ("PATCH", "/v1/queues/{queue}"): {"paused": True},
    ("POST", "/v1/queues/{queue}/claim"): {"worker": "b"},
    ("POST", "/v1/leases/{lease}/settle"): {"results": [{"jobId": "b", "outcome": "completed"}]},
    ("POST", "/v1/leases/{lease}/extend"): {"leaseSeconds": 60},
    ("POST", "/v1/leases/{lease}/release"): {"reason": "b"},
    ("POST", "/v1/leases/{lease}/report"): {"jobId": "b"},
    ("POST", "/v1/routes"): {"pattern": "b", "queue": "b"},
    ("PATCH", "/v1/routes/{id}"): {"priority": 1},
    ("POST", "/v1/jobs/retry"): {"filter": {"status": ["failed"]}},
    ("POST", "/v1/jobs/cancel"): {"filter": {"status": ["queued"]}},
    ("POST", "/v1/jobs/{id}/retry"): {"reason": "because"},
    ("POST", "/v1/jobs/{id}/cancel"): {"reason": "because"},
    ("POST", "/v1/endpoints"): {"url": "https://x.test/b"},
    ("PATCH", "/v1/endpoints/{id}"): {"description": "b"},
    ("POST", "/v1/streams/token"): {"ttlSeconds": 60},
    ("POST", "/v1/interactions"): {"connectionId": "chat", "expectedActor": "*", "prompt": "b"},
    ("POST", "/v1/interactions/{id}/answer"): {"connectionId": "chat", "actor": "b", "answer": "b"},
    ("DELETE", "/v1/interactions/{id}"): {"reason": "b"},
    ("POST", "/v1/endpoints/{id}/test"): {"type": "b"},
    ("POST", "/v1/endpoints/{id}/secret/rotate"): {"overlapSeconds": 60},
    ("POST", "/v1/endpoints/{id}/recover"): {"sinceEpoch": 0, "dryRun": True},
    ("POST", "/v1/schedules"): {"name": "b", "cron": "@yearly", "type": "b", "enabled": False},
    ("PATCH", "/v1/schedules/{id}"): {"subject": "b"},
    ("POST", "/v1/memories"): {"content": "b"},
    ("PATCH", "/v1/memories/{id}"): {"content": "b"},
    ("POST", "/v1/memories/forget"): {"filter": {"kind": "b"}},
    ("POST", "/v1/search"): {"query": "b"},
    ("POST", "/v1/context"): {"query": "b"},
    ("POST", "/v1/sessions/start"): {"platformSource": "claude", "metadata": {}},
    ("POST", "/api/sessions/observations"): {"contentSessionId": "b", "tool_name": "Bash"},
    ("POST", "/api/sessions/summarize"): {"contentSessionId": "b"},
    ("POST", "/v1/teams"): {"name": "b"},
    ("PATCH", "/v1/teams/{id}"): {"metadata": {"b": 1}},
    ("POST", "/v1/projects"): {"name": "another"},
    ("PATCH", "/v1/projects/{id}"): {"metadata": {"b": 1}},
    ("POST", "/v1/keys"): {"label": "b"},
    ("POST", "/v1/keys/{id}/rotate"): {"overlapSeconds": 60},
    ("POST", "/v1/mcp"): {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "projects"}},
}
"""A body that the route accepts, without ids."""

LAST = ("DELETE",)
"""Methods that take away what the others would find."""

ENDLESS = frozenset({("GET", "/v1/mcp"), ("GET", "/v1/projects/{id}/stream")})
"""Replies that go on until the client leaves; they have tests of their own."""

TAKES_AWAY = frozenset({"/v1/endpoints/{id}/disable", "/v1/leases/{lease}/release"})
"""Paths that take away too, by whatever method."""

OF_TEAMS = frozenset({("PATCH", "/v1/teams/{id}"), ("POST", "/v1/projects")})
"""What a key of the team may and one of a project may not."""

CHOSEN = frozenset({("POST", "/v1/interactions", ("id",))})
"""Ids that callers make up themselves, one name space for all tenants: taken is taken, whoever has it."""

REFUSED_TO_OWNERS: dict[tuple[str, str], int] = {
    ("POST", "/v1/teams"): 403,
    # Not without the type.
    ("GET", "/v1/routes/match"): 400,
    # What stands for a job is the endpoint's id again.
    ("POST", "/v1/endpoints/{id}/deliveries/{jobId}/redeliver"): 404,
    # No job that the lease holds.
    ("POST", "/v1/leases/{lease}/report"): 409,
    ("GET", "/v1/leases/{lease}/jobs/{id}/payload"): 409,
    # Not without the connection.
    ("DELETE", "/v1/interactions/{id}"): 400,
}
"""What is refused even to a key that may do everything, and how."""

NOT_NULL: dict[tuple[str, str], tuple[str, ...]] = {
    ("POST", "/v1/sessions/start"): ("externalSessionId",),
    ("PATCH", "/v1/memories/{id}"): ("content", "kind", "metadata"),
    ("PATCH", "/v1/endpoints/{id}"): ("projectId", "url"),
    ("PATCH", "/v1/schedules/{id}"): ("projectId", "name", "cron", "type"),
    ("PATCH", "/v1/routes/{id}"): ("pattern",),
    ("PATCH", "/v1/teams/{id}"): ("name",),
    ("PATCH", "/v1/projects/{id}"): ("name", "archived"),
}
"""Where null is refused although the field may be left out."""
