"""`outboxd projects`"""

from typing import TYPE_CHECKING, Any

from outboxd.cli import changes, tenancy
from outboxd.cli.confirm import typed
from outboxd.cli.parser import Args, Nouns, Parser, listed, owned, pair, risky
from outboxd.cli.reply import Record, Rows

if TYPE_CHECKING:
    from outboxd.db.pool import Database
    from outboxd.model import Caller, Project

COLUMNS = ("id", "name", "teamId", "archived", "createdAtEpoch")
_AGAIN = 0.2
_OWN: dict[str, changes.Kind] = {"name": str, "metadata": dict, "archived": bool}
SETTINGS: dict[str, changes.Kind] = {
    "generation.policy": str,
    "generation.quietMs": int,
    "generation.maxWaitMs": int,
    "generation.maxEvents": int,
    "generation.provider": str,
    "generation.model": str,
    "generation.maxOutputTokens": int,
    "generation.types": list,
    "generation.skipEventTypes": list,
    "generation.skipTools": list,
    "summary.enabled": bool,
    "summary.quietSeconds": int,
    "session.idleEndSeconds": int,
    "dedupe.enabled": bool,
    "privacy.redactSecrets": str,
    "budgets.tokensPerMonth": int,
    "budgets.costMicrosPerMonth": int,
    "budgets.callsPerHour": int,
    "retention.eventDays": int,
    "retention.memoryDays": int,
}
"""Their ranges are the database's business."""


def add(nouns: Nouns) -> None:
    noun = nouns.noun("projects", "what events belong to")
    owned(listed(noun.verb("list", "all projects, by name", every)), ["team"])
    parser = noun.verb("create", "a project of a team", create)
    parser.add_argument("name", help="1 to 120 characters")
    parser.add_argument("--team", metavar="ID|NAME", required=True, help="whose it is")
    _one(noun.verb("show", "one project", show))
    parser = _one(noun.verb("set", "change settings of a project; an empty value is the default", change))
    parser.add_argument(
        "settings",
        metavar="KEY=VALUE",
        type=pair,
        nargs="+",
        help=f"{', '.join(_OWN)}, {', '.join(SETTINGS)}",
    )
    _one(noun.verb("archive", "it takes no more events; what it owes is still done", archive))
    parser = _one(noun.verb("egress", "whether its webhooks may go to OUTBOXD_EGRESS_ALLOW", egress))
    parser.add_argument("switch", choices=("on", "off"), help="whether it may")
    risky(_one(noun.verb("purge", "everything that it remembers is deleted; it stays, and goes on", purge)))


async def every(args: Args, db: "Database") -> Rows:
    from outboxd.store import tenants

    async with db.connection() as conn:
        who = await tenancy.caller(conn)
        team = await tenancy.team(conn, who, args.team) if args.team else None
        found = await tenants.projects(conn, who, team=team.id if team else None, limit=args.limit)
    return Rows(name="projects", columns=COLUMNS, rows=found)


async def create(args: Args, db: "Database") -> Record:
    from outboxd.store import tenants

    async with db.transaction() as conn:
        who = await tenancy.caller(conn)
        team = await tenancy.team(conn, who, args.team)
        made = await tenants.make_project(conn, who, team.id, args.name)
        return Record(fields=await tenants.project(conn, who, str(made)))


async def show(args: Args, db: "Database") -> Record:
    async with db.connection() as conn:
        return Record(fields=await _named(args, conn, await tenancy.caller(conn)))


async def change(args: Args, db: "Database") -> Record:
    wanted = changes.document(args.settings, _OWN | SETTINGS)
    settings = {name: wanted.pop(name) for name in [*wanted] if name not in _OWN}
    return await _changed(args, db, {**wanted, **({"settings": settings} if settings else {})})


async def archive(args: Args, db: "Database") -> Record:
    return await _changed(args, db, {"archived": True})


async def egress(args: Args, db: "Database") -> Record:
    from outboxd.store import tenants

    async with db.transaction() as conn:
        who = await tenancy.caller(conn)
        project = await _named(args, conn, who)
        before = await tenants.allow_egress(conn, who, project.id, on=args.switch == "on")
    return Record(fields={"projectId": project.id, "egress": args.switch == "on", "before": before})


async def purge(args: Args, db: "Database") -> Record:
    """Invisible from the first commit on; what is interrupted, the sweeper finishes."""
    import asyncio

    from outboxd.store import deletion

    async with db.connection() as conn:
        who = await tenancy.caller(conn)
        project = await _named(args, conn, who)
        would = await deletion.purge_counts(conn, who, project.id)
    if args.dry_run:
        return Record(fields={"projectId": project.id, "purged": False, "dryRun": True, "counts": would})
    told = f"{would.observations:,} memories, {would.agent_events:,} events, {would.sessions:,} sessions"
    typed(args, f"Delete all that {project.name} remembers ({told})? It does not come back.", project.name)
    async with db.transaction() as conn:
        state = await deletion.begin_purge(conn, await tenancy.caller(conn), project.id)
    while state.step < deletion.DONE:
        async with db.transaction() as conn:
            further = await deletion.continue_purge(conn, project.id)
        if further is None:
            # Another process is at it: its batch ends.
            await asyncio.sleep(_AGAIN)
        state = further or state
    return Record(fields={"projectId": project.id, "purged": True, "counts": state.counts})


async def _changed(args: Args, db: "Database", wanted: dict[str, Any]) -> Record:
    from outboxd.store import tenants

    async with db.transaction() as conn:
        who = await tenancy.caller(conn)
        project = await _named(args, conn, who)
        return Record(fields=await tenants.change_project(conn, who, project.id, wanted))


async def _named(args: Args, conn: "tenancy.Conn", who: "Caller") -> "Project":
    team = await tenancy.team(conn, who, args.team) if args.team else None
    return await tenancy.project(conn, who, args.project, team.id if team else None)


def _one(parser: Parser) -> Parser:
    parser.add_argument("project", metavar="ID|NAME", help="which")
    return owned(parser, ["team"])
