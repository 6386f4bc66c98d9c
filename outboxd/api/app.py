"""The HTTP surface: the layers in the order they act, and every route with what it asks of them."""

import time

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from outboxd.api.answers import Answers
from outboxd.api.auth import Keys, Refusals, Scopes
from outboxd.api.backlogs import Backlogs
from outboxd.api.bodies import Bodies
from outboxd.api.claims import Claims
from outboxd.api.cors import Cors
from outboxd.api.doors import handle, route, unknown
from outboxd.api.edge import Gate, Problems, RequestIds, SecurityHeaders, Traces
from outboxd.api.exchange import Api, Readiness, Refresh, nothing
from outboxd.api.flows import Flows
from outboxd.api.info import Lanes
from outboxd.api.keyring import KeyRing
from outboxd.api.limits import Quota, Quotas, Rates
from outboxd.api.privacy import Privacy
from outboxd.api.queues import Depths
from outboxd.api.routes import ROUTES
from outboxd.api.standing import Standing
from outboxd.api.waits import Waits
from outboxd.config import Config
from outboxd.db.pool import Database
from outboxd.egress import Egress
from outboxd.handlers.memory import redaction
from outboxd.loops.hub.hub import Hub
from outboxd.loops.ingest import Ingest
from outboxd.loops.requests import Requests
from outboxd.loops.wakes import Wakes

EVERYWHERE = (RequestIds, Traces, SecurityHeaders, Problems, Cors, Gate)
"""Outermost first. Behind them: path and method, which is Starlette's router and `doors`, then …"""
BEHIND_THE_PATH = (Keys, Rates, Quotas, Scopes, Bodies)


def build(
    *,
    config: Config,
    db: Database,
    egress: Egress,
    ingest: Ingest,
    wakes: Wakes,
    readiness: Readiness,
    requests: Requests | None = None,
    refresh: Refresh = nothing,
) -> Starlette:
    """The app; whoever serves it runs `ingest` and `requests` beside it."""
    requests = requests or Requests(db)
    api = Api(
        config=config,
        db=db,
        egress=egress,
        ingest=ingest,
        wakes=wakes,
        readiness=readiness,
        keys=KeyRing(db),
        waits=Waits(db, wakes, readiness),
        answers=Answers(db, wakes, readiness),
        claims=Claims(db, wakes, readiness),
        backlogs=Backlogs(db, config.max_live_jobs),
        requests=requests,
        quotas=Quota(db, requests, config.monthly_request_cap),
        lanes=Lanes(db),
        depths=Depths(db),
        privacy=Privacy(db, redaction.read(config.redact_file)),
        hub=Hub(db, wakes),
        standing=Standing(db),
        refusals=Refusals(),
        flows=Flows(readiness, config.streams, config.streams_per_key, config.drain),
        started=time.monotonic(),
        refresh=refresh,
    )
    wakes.on_key(api.keys.drop)
    wakes.on_key(api.standing.revoked)
    return _layered(api)


def _layered(api: Api) -> Starlette:
    inside: ASGIApp = handle
    for layer in reversed(BEHIND_THE_PATH):
        inside = layer(inside)
    doors = [route(template, operations, inside) for template, operations in ROUTES.items()]
    if api.config.console:
        from outboxd.api.console.door import Console  # templates are read only where there are pages

        doors += Console(api).routes()
    app = Starlette(
        routes=doors,
        middleware=[Middleware(layer, api=api) for layer in EVERYWHERE],
    )
    app.router.redirect_slashes = False
    app.router.default = unknown
    app.state.api = api
    return app
