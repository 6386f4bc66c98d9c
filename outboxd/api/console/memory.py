"""Memory: what was observed lately, a search, and what it cost this month."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from outboxd.api import cursors
from outboxd.api.console import render
from outboxd.api.console.names import Names, names
from outboxd.api.console.render import Open
from outboxd.api.console.visit import Visit
from outboxd.api.exchange import Reply
from outboxd.api.reads import note_read
from outboxd.db.link import Link
from outboxd.model import Caller
from outboxd.model.observations import Hit, Memory
from outboxd.store import observations, search, usage
from outboxd.store.observations import MemoryFilter
from outboxd.store.search import SearchQuery
from outboxd.store.usage import Amount, Cap

_FILTERS = ("project", "q", "kind", "since")
_PAGE = 30


async def show(visit: Visit) -> Reply:
    """GET /console/memory"""
    own = visit.session.key.project_id
    project = own or visit.ident("project")
    kind = visit.text("kind", 64)
    where = MemoryFilter(kinds=[kind] if kind else None, since=visit.time("since"))
    text = visit.text("q", 2000)
    async with visit.api.db.connection() as conn:
        called = await names(conn, visit.caller)
        if project is None and len(called) == 1:
            project = next(iter(called))
        found, more = await _found(visit, conn, project, text, where)
        amounts, caps = await _spent(conn, _narrowed(visit, called, project))
    return render.page(
        "memory.html",
        visit=visit,
        section="memory",
        title="Memory",
        asked=Open(visit.asked(*_FILTERS) | ({"project": str(project)} if project else {})),
        text=text,
        project=project,
        memories=found,
        cursor=more,
        names=called,
        usage={each.kind: each.amount for each in amounts},
        caps=caps,
    )


async def _found(
    visit: Visit, conn: Link, project: UUID | None, text: str | None, where: MemoryFilter
) -> tuple[list[Memory] | list[Hit], str | None]:
    """What a search finds in a project; without a question what is newest, of all that one may see."""
    if text is not None and project is not None:
        asked = SearchQuery(project=project, query=text, where=where, limit=_PAGE)
        hits = (await search.search(conn, visit.caller, asked)).observations
        await note_read(visit.exchange, "search", hits, asked=asked, via="console")
        return hits, None
    if text is not None:
        return [], None
    after = cursors.read(visit.exchange)
    found = await observations.recent(
        conn, visit.caller, project=project, where=where, after=after, limit=_PAGE + 1
    )
    await note_read(visit.exchange, "recent", found[:_PAGE], via="console")
    more = found[_PAGE - 1].id if len(found) > _PAGE else None
    return found[:_PAGE], cursors.write(visit.exchange, more)


async def _spent(conn: Link, caller: Caller | None) -> tuple[list[Amount], list[Cap]]:
    """Of this month of UTC, where there is one team to ask for."""
    if caller is None:
        return [], []
    since = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    until = since.replace(year=since.year + since.month // 12, month=since.month % 12 + 1)
    return (
        await usage.report(conn, caller, since=since, until=until, group_by=None),
        await usage.caps(conn, caller, None),
    )


def _narrowed(visit: Visit, called: Names, project: UUID | None) -> Caller | None:
    """The caller, in one project or team; None for an operator who has chosen none."""
    if project is None:
        return visit.caller if visit.caller.team_id is not None else None
    if project not in called:
        return None
    given: dict[str, Any] = {"team_id": called[project].team_id, "project_ids": (project,)}
    return msgspec.structs.replace(visit.caller, everywhere=False, **given)
