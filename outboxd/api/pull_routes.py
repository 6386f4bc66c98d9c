"""Routes of workers elsewhere."""

from collections.abc import Mapping
from typing import Any

from outboxd.api import pull, pull_wire
from outboxd.api.exchange import Handler, Operation
from outboxd.model.pull import Claim, Extended, Released, Told
from outboxd.model.raw import AnyJson


def _works(
    handler: Handler, answers: Mapping[int, Any], refuses: tuple[int, ...] = (404, 409), **more: Any
) -> Operation:
    """Also for a key that is bound to no team: it works for all."""
    return Operation(
        handler=handler, scopes=(pull.SCOPE,), teamless=True, answers=answers, refuses=refuses, **more
    )


ROUTES: Mapping[str, Mapping[str, Operation]] = {
    "/v1/queues/{queue}/claim": {"POST": _works(pull.claim, {200: Claim}, body=pull_wire.CLAIM)},
    "/v1/leases/{lease}/settle": {"POST": _works(pull.settle, {200: Told}, body=pull_wire.SETTLE)},
    "/v1/leases/{lease}/extend": {"POST": _works(pull.extend, {200: Extended}, body=pull_wire.EXTEND)},
    "/v1/leases/{lease}/release": {
        "POST": _works(pull.release, {200: Released}, body=pull_wire.RELEASE, needs_body=False)
    },
    "/v1/leases/{lease}/report": {"POST": _works(pull.report, {204: None}, body=pull_wire.REPORT)},
    "/v1/leases/{lease}/jobs/{id}/payload": {"GET": _works(pull.payload, {200: AnyJson})},
}
