"""Who the command line is, and whose things its options name."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from outboxd.cli.parser import Args
from outboxd.errors import Conflict, NotFound

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    from outboxd.model import Caller, Project, Team

    Conn = AsyncConnection[dict[str, Any]]

_SHOWN = 10


async def caller(conn: "Conn") -> "Caller":
    """The database login: what it may is what we may, and the trail says `cli:<login>`."""
    from outboxd.store import logins

    return await logins.caller(conn, "cli")


async def team(conn: "Conn", who: "Caller", named: str) -> "Team":
    """By id or name. Raises NotFound."""
    from outboxd.store import tenants

    return await tenants.team(conn, who, named)


async def project(conn: "Conn", who: "Caller", named: str, of_team: UUID | None = None) -> "Project":
    """By id or name. Raises NotFound; Conflict with the ids when several teams have one of that name."""
    from outboxd.store import tenants

    found = await tenants.projects(conn, who, team=of_team, named=named, limit=_SHOWN)
    if not found:
        raise NotFound("Project not found")
    if len(found) > 1:
        ids = ", ".join(str(each.id) for each in found)
        raise Conflict(f"several projects are called {found[0].name}: name it by its id, one of {ids}")
    return found[0]


async def scope(conn: "Conn", who: "Caller", args: Args) -> tuple[UUID | None, UUID | None]:
    """The team and project that `--team` and `--project` name; a project brings its team."""
    named = await team(conn, who, args.team) if args.team else None
    if not args.project:
        return (named.id if named else None), None
    found = await project(conn, who, args.project, named.id if named else None)
    return found.team_id, found.id


def uuid(text: str, noun: str) -> UUID:
    """Raises NotFound: what is no id, nothing has."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(f"no {noun} {text}") from None
