"""Every route: its path, its methods, and what each asks of the layers before its handler runs.

Tolerant routes are those that clients of older servers call: what they send besides is ignored.
"""

from collections.abc import Mapping
from typing import Any

from outboxd.api import endpoint_wire, endpoints, events, job_orders, jobs, ops, publish, wire
from outboxd.api.exchange import Handler, Operation

_FLAGS = frozenset({"generate", "wait"})
_PAGE = frozenset({"limit", "cursor"})


def _open(handler: Handler) -> Operation:
    """Nobody has to say who they are."""
    return Operation(handler=handler, auth="none", tolerant=True)


def _publishes(handler: Handler, body: Any) -> Operation:
    return Operation(
        handler=handler,
        scopes=("events:write",),
        body=body,
        tolerant=True,
        query=_FLAGS,
        publishes=True,
    )


def _reads(handler: Handler, scope: str, query: frozenset[str] = frozenset(), **more: Any) -> Operation:
    return Operation(handler=handler, scopes=(scope,), query=query, **more)


def _writes(handler: Handler, scope: str, **more: Any) -> Operation:
    return Operation(handler=handler, scopes=(scope,), **more)


def _orders(handler: Handler) -> Operation:
    return _writes(handler, "jobs:write", body=job_orders.WHY, needs_body=False, tolerant=True)


ROUTES: Mapping[str, Mapping[str, Operation]] = {
    "/v1/events": {
        "POST": _publishes(publish.one, wire.ONE),
        "GET": _reads(events.listed, "events:read", events.LIST_QUERY),
    },
    "/v1/events/batch": {"POST": _publishes(publish.batch, wire.EACH)},
    "/v1/events/{id}": {"GET": _reads(events.one, "events:read", tolerant=True)},
    "/v1/events/{id}/timeline": {"GET": _reads(events.timeline, "events:read")},
    "/v1/jobs": {"GET": _reads(jobs.listed, "jobs:read", jobs.LIST_QUERY, tolerant=True)},
    "/v1/jobs/retry": {"POST": _writes(job_orders.retry_many, "jobs:write", body=job_orders.RETRY_MANY)},
    "/v1/jobs/cancel": {"POST": _writes(job_orders.cancel_many, "jobs:write", body=job_orders.CANCEL_MANY)},
    "/v1/jobs/{id}": {"GET": _reads(jobs.one, "jobs:read", frozenset({"waitSeconds"}), tolerant=True)},
    "/v1/jobs/{id}/attempts": {"GET": _reads(jobs.attempts, "jobs:read", _PAGE)},
    "/v1/jobs/{id}/why": {"GET": _reads(jobs.why, "jobs:read")},
    "/v1/jobs/{id}/retry": {"POST": _orders(job_orders.retry)},
    "/v1/jobs/{id}/cancel": {"POST": _orders(job_orders.cancel)},
    "/v1/teams/{id}/jobs": {"GET": _reads(jobs.of_team, "jobs:read", jobs.TENANT_QUERY, tolerant=True)},
    "/v1/projects/{id}/jobs": {"GET": _reads(jobs.of_project, "jobs:read", jobs.TENANT_QUERY, tolerant=True)},
    "/v1/endpoints": {
        "POST": _writes(endpoints.make, "endpoints:write", body=endpoint_wire.BODY),
        "GET": _reads(endpoints.listed, "endpoints:read", endpoints.LIST_QUERY),
    },
    "/v1/endpoints/{id}": {
        "GET": _reads(endpoints.one, "endpoints:read"),
        "PATCH": _writes(endpoints.change, "endpoints:write", body=endpoint_wire.BODY),
        "DELETE": _writes(endpoints.remove, "endpoints:write"),
    },
    "/v1/endpoints/{id}/secret": {"GET": _writes(endpoints.secret, "endpoints:write")},
    "/v1/me": {"GET": Operation(handler=ops.me, teamless=True)},
    "/v1/info": {"GET": Operation(handler=ops.info, auth="optional", teamless=True, tolerant=True)},
    "/livez": {"GET": _open(ops.livez)},
    "/readyz": {"GET": _open(ops.readyz)},
    "/healthz": {"GET": _open(ops.healthz)},
    "/metrics": {"GET": Operation(handler=ops.metrics, auth="optional", teamless=True, tolerant=True)},
    "/api/health": {"GET": _open(ops.api_health)},
    "/api/readiness": {"GET": _open(ops.api_readiness)},
    "/api/version": {"GET": _open(ops.version)},
    "/": {"GET": _open(ops.front)},
}
