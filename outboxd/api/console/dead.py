"""Dead letters: by error, one by one, and what can be done to many: looked at first, then confirmed."""

from typing import Any
from uuid import UUID

from outboxd.api import cursors
from outboxd.api.console import render
from outboxd.api.console.names import names
from outboxd.api.console.visit import Visit, done, go
from outboxd.api.exchange import Reply
from outboxd.db.link import Link
from outboxd.errors import Invalid
from outboxd.store import job_lists, mending, overview
from outboxd.store.job_lists import JobFilter
from outboxd.store.mending import Bulk

VERBS = ("retry", "cancel", "purge")
_FILTERS = ("project", "queue", "handler", "class", "since", "until")
_PAGE = 50
_MOST = 10_000
_RATE = 10.0
_SCOPES = {"retry": "jobs:write", "cancel": "jobs:write", "purge": "admin"}
_DONE = {
    "retry": "{n} jobs are queued again; they become due at the rate that was said.",
    "cancel": "{n} jobs were cancelled.",
    "purge": "{n} dead letters were purged.",
}


async def show(visit: Visit) -> Reply:
    """GET /console/dead"""
    asked = visit.asked(*_FILTERS)
    where = JobFilter(
        project=visit.ident("project"),
        states=["failed"],
        queue=visit.text("queue", 100),
        handler=visit.text("handler"),
        classification=visit.text("class", 64),
        since=visit.time("since"),
        until=visit.time("until"),
    )
    after = cursors.read(visit.exchange)
    async with visit.api.db.connection() as conn:
        groups = await overview.dead(
            conn, visit.caller, project=where.project, queue=where.queue, class_=where.classification
        )
        page = await job_lists.page(conn, visit.caller, where, after=after, offset=0, limit=_PAGE)
        called = await names(conn, visit.caller)
    return render.page(
        "dead.html",
        visit=visit,
        section="dead",
        title="Dead letters",
        done=done(visit, _DONE),
        asked=asked,
        groups=groups,
        total=sum(each.jobs for each in groups),
        jobs=page.jobs,
        cursor=cursors.write(visit.exchange, page.after),
        names=called,
    )


async def look(visit: Visit) -> Reply:
    """POST /console/dead/look: what the verb would do, and the form that does it"""
    verb, chosen, ids = _verb(visit), _chosen(visit), visit.idents("id")
    rate = visit.number("rate", 0, 1000)
    found = await _run(visit, verb, chosen, rate, dry_run=True)
    return render.page(
        "dead_look.html",
        visit=visit,
        section="dead",
        title=f"{verb.capitalize()} dead letters",
        verb=verb,
        found=found,
        ids=ids,
        rate=_RATE if rate is None else rate,
        reason=visit.text("reason", 500),
        asked=visit.asked(*_FILTERS),
    )


async def act(visit: Visit) -> Reply:
    """POST /console/dead/act: does it"""
    verb, chosen = _verb(visit), _chosen(visit)
    rate = visit.number("rate", 0, 1000)
    found = await _run(visit, verb, chosen, rate, dry_run=False)
    return go("/console/dead", done=verb, n=found.affected, **visit.asked(*_FILTERS))


async def _run(visit: Visit, verb: str, chosen: dict[str, Any], rate: float | None, *, dry_run: bool) -> Bulk:
    by, reason = visit.by(_SCOPES[verb]), visit.text("reason", 500)

    async def order(conn: Link) -> Bulk:
        if verb == "retry":
            speed = _RATE if rate is None else rate
            return await mending.redrive(
                conn, by, chosen, limit=_MOST, rate=speed, dry_run=dry_run, reason=reason
            )
        many = mending.cancel_many if verb == "cancel" else mending.purge
        return await many(conn, by, chosen, limit=_MOST, dry_run=dry_run, reason=reason)

    return await visit.write(order)


def _verb(visit: Visit) -> str:
    verb = visit.choice("verb", VERBS)
    if verb is None:
        raise Invalid(f"one of {', '.join(VERBS)}")
    return verb


def _chosen(visit: Visit) -> dict[str, Any]:
    """The ticked ones, else all that the filter finds."""
    ids: list[UUID] = visit.idents("id")
    if ids:
        return {"ids": [str(each) for each in ids], "status": ["failed"]}
    chosen: dict[str, Any] = {"status": ["failed"]}
    for name, of in (("queue", "queue"), ("handler", "handler"), ("projectId", "project")):
        said = visit.text(of)
        if said is not None:
            chosen[name] = said
    class_ = visit.text("class", 64)
    if class_ is not None:
        chosen["classification"] = [class_]
    for name in ("since", "until"):
        at = visit.time(name)
        if at is not None:
            chosen[name] = at.isoformat()
    return chosen
