"""Questions of the connection `console`: answered or withdrawn here, each once.

This channel calls people by the key that they signed in with: its name, or its actor `key:<id>`. A question
for `*` is anybody's, one for somebody else is shown and left alone. Suggestions are used, and stay.
"""

from typing import TypeVar

import msgspec
from msgspec import Raw, UnsetType

from outboxd import telemetry
from outboxd.api import cursors, interaction_wire
from outboxd.api.console import render
from outboxd.api.console.figures import CONNECTION
from outboxd.api.console.names import names
from outboxd.api.console.render import Open
from outboxd.api.console.visit import Visit, done, go
from outboxd.api.exchange import Reply
from outboxd.db.link import Link
from outboxd.errors import Conflict, Forbidden, Invalid, NotFound
from outboxd.model.interactions import Interaction
from outboxd.store import interactions
from outboxd.store.interactions import InteractionFilter, Place

T = TypeVar("T")

_SCOPE = "interactions:write"
_PAGE = 30
_STATES = ("pending", "answered", "withdrawn", "expired")
_LONGEST = 8000
_PATH = "/console/interactions"
_DONE = {
    "answered": "Answered. Whoever asked goes on with it.",
    "replayed": "You had answered so before.",
    "used": "Done, as it was suggested.",
    "withdrawn": "Withdrawn. Nobody can answer it any more.",
    "over": "It was over already.",
}


async def listed(visit: Visit) -> Reply:
    """GET /console/interactions"""
    state = visit.choice("state", (*_STATES, "any"), "pending")
    where = InteractionFilter(
        project=visit.ident("project"), state=None if state == "any" else state, connection=CONNECTION
    )
    raw = cursors.read_bytes(visit.exchange)
    after = None if raw is None else msgspec.json.decode(raw, type=Place)
    async with visit.api.db.connection() as conn:
        found = await interactions.listed(
            conn, visit.caller, where, after=after, bodies=True, limit=_PAGE + 1
        )
        called = await names(conn, visit.caller)
    more = None
    if len(found) > _PAGE:
        more = cursors.write_bytes(visit.exchange, msgspec.json.encode(found[_PAGE - 1].place))
    return render.page(
        "interactions.html",
        visit=visit,
        section="interactions",
        title="Interactions",
        done=done(visit, _DONE),
        asked=Open(visit.asked("project") | {"state": state or "pending"}),
        state=state,
        states=_STATES,
        questions=[each.shown for each in found[:_PAGE]],
        cursor=more,
        names=called,
        given=_given,
        mine={each.shown.id for each in found if _named(visit, each.shown) is not None},
    )


async def answer(visit: Visit) -> Reply:
    """POST /console/interactions/{id}/answer"""
    seen = await _seen(visit)
    actor = _named(visit, seen)
    if actor is None:
        raise Forbidden("This question is for somebody else.")
    if seen.kind == "suggestion":
        return await _use(visit, seen, actor)
    said = await _said(visit, seen)

    async def order(conn: Link) -> str:
        by = visit.by(_SCOPE)
        return await interactions.answer(
            conn, by, seen.id, seen.project_id, CONNECTION, actor, said, visit.text("digest", 64)
        )

    outcome = await visit.write(order)
    telemetry.INTERACTIONS_TOTAL.labels(seen.kind, outcome).inc()
    if outcome == "changed":
        raise Conflict("That is not the question as it stands now. Please read it again.")
    if outcome == "answered":
        visit.api.wakes.committed({}, projects=[seen.project_id], interactions=[seen.id])
    return go(_PATH, done=outcome if outcome in {"answered", "replayed"} else "over")


async def withdraw(visit: Visit) -> Reply:
    """POST /console/interactions/{id}/withdraw"""
    seen, reason = await _seen(visit), visit.text("reason", 500)

    async def order(conn: Link) -> bool:
        return await interactions.withdraw(
            conn, visit.by(_SCOPE), seen.id, seen.project_id, CONNECTION, reason
        )

    ended = await visit.write(order)
    if ended:
        telemetry.INTERACTIONS_TOTAL.labels(seen.kind, "withdrawn").inc()
        visit.api.wakes.committed({}, projects=[seen.project_id], interactions=[seen.id])
    return go(_PATH, done="withdrawn" if ended else "over")


async def _use(visit: Visit, seen: Interaction, actor: str) -> Reply:
    choice = visit.whole("choice", 0, 1000)
    if choice is None:
        raise Invalid("choose one of the suggestions")

    async def order(conn: Link) -> object:
        by = visit.by(_SCOPE)
        return await interactions.use(conn, by, seen.id, seen.project_id, CONNECTION, actor, choice)

    used = await visit.write(order)
    if used is not None:
        telemetry.INTERACTIONS_TOTAL.labels(seen.kind, "used").inc()
        visit.api.wakes.committed({}, projects=[seen.project_id])
    return go(_PATH, done="used" if used is not None else "over")


async def _said(visit: Visit, seen: Interaction) -> bytes:
    """The option that was pressed, else what was written, private spans taken out. Raises Invalid."""
    choice, options = visit.whole("choice", 0, 1000), _given(seen.options) or []
    if choice is not None:
        if choice >= len(options):
            raise Invalid("no such option")
        return msgspec.json.encode(options[choice].value)
    text = visit.text("text", _LONGEST)
    if text is None:
        raise Invalid("say something, or choose an answer")
    return await interaction_wire.clean(visit.exchange, seen.project_id, Raw(msgspec.json.encode(text)))


def _named(visit: Visit, asked: Interaction) -> str | None:
    """As whom the one who looks may answer; None: it is for somebody else."""
    own = (visit.caller.actor, visit.session.key_name)
    if asked.expected_actor == "*":
        return visit.caller.actor
    return asked.expected_actor if asked.expected_actor in own else None


async def _seen(visit: Visit) -> Interaction:
    """Raises NotFound, also for one that is another channel's."""
    id_ = visit.part("id")
    found = await visit.read(lambda conn: interactions.get(conn, visit.caller, id_))
    if found is None or found.connection_id != CONNECTION:
        raise NotFound("Interaction not found")
    return found


def _given(value: T | UnsetType) -> T | None:
    return None if isinstance(value, UnsetType) else value
