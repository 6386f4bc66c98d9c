"""Teams and projects: POST, GET, PATCH /v1/teams and /v1/projects."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from outboxd.api import cursors, idempotency, keys, queries, revisions, tenancy
from outboxd.api import exchange as x
from outboxd.api.exchange import Exchange, Reply
from outboxd.db.link import Link
from outboxd.errors import Forbidden
from outboxd.model import Project, Team
from outboxd.model.keys import KeyMade, TeamMade
from outboxd.model.tenants import ProjectPage, ProjectReply, TeamPage, TeamReply
from outboxd.store import keys as store_keys
from outboxd.store import tenants

LIST_TEAMS = frozenset({"limit", "cursor"})
LIST_PROJECTS = frozenset({"name", "archived", "limit", "cursor"})
_ADMIN = "admin"

Name = Annotated[str, Meta(min_length=1, max_length=120)]
Object = dict[str, Any]


class FirstKey(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    label: Annotated[str, Meta(max_length=120)] | None = None
    scopes: Annotated[list[str], Meta(max_length=50)] | None = None
    """None: admin."""


class TeamIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    name: Name
    metadata: Object | None = None
    first_key: FirstKey | None = None


class TeamPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    metadata: Object | UnsetType | None = UNSET
    budgets: Object | UnsetType | None = UNSET


class ProjectIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name
    metadata: Object | None = None
    settings: Object | None = None


class ProjectPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    metadata: Object | UnsetType | None = UNSET
    archived: bool | UnsetType = UNSET
    settings: Object | UnsetType | None = UNSET


TEAM, TEAM_PATCH = msgspec.json.Decoder(TeamIn), msgspec.json.Decoder(TeamPatch)
PROJECT, PROJECT_PATCH = msgspec.json.Decoder(ProjectIn), msgspec.json.Decoder(ProjectPatch)


async def make_team(exchange: Exchange) -> Reply:
    """POST /v1/teams: by an operator key; with its first key, if one is asked for"""
    given: TeamIn = exchange.body
    caller = tenancy.by_key(exchange)

    async def write(conn: Link) -> Reply:
        made = await tenants.make_team(conn, caller, given.name, given.metadata)
        first: KeyMade | UnsetType | None = UNSET
        if given.first_key is not None:
            key, secret = await store_keys.mint(
                conn,
                caller,
                team=made,
                project=None,
                scopes=given.first_key.scopes or (_ADMIN,),
                name=given.first_key.label,
            )
            first = keys.shown(exchange, key, secret)
        team = await tenants.team(conn, caller, str(made))
        return x.json(TeamMade(team=team, first_key=first), 201)

    return await idempotency.once(exchange, write, hide={"firstKey"})


async def teams(exchange: Exchange) -> Reply:
    """GET /v1/teams: all for an operator key, else the key's own"""
    limit, after = queries.limit(exchange), cursors.read(exchange)
    async with exchange.api.db.connection() as conn:
        found = await tenants.team_page(
            conn, tenancy.by_key(exchange), own=exchange.caller.team_id, after=after, limit=limit + 1
        )
    more = found[limit - 1].id if len(found) > limit else None
    return x.json(TeamPage(teams=found[:limit], next_cursor=cursors.write(exchange, more)))


async def team(exchange: Exchange) -> Reply:
    """GET /v1/teams/{id}: one team, with its budgets"""
    return x.json(TeamReply(team=await _team(exchange)))


async def change_team(exchange: Exchange) -> Reply:
    """PATCH /v1/teams/{id}: a merge patch, under If-Match; budgets by an operator key alone"""
    seen = await _team(exchange)
    operator = exchange.caller.team_id is None
    if exchange.body.budgets is not UNSET and not operator:
        raise Forbidden("budgets of a team are set with an operator key")
    changes, revision = _said(exchange.body), revisions.wanted(exchange)
    async with exchange.api.db.transaction() as conn:
        caller = tenancy.by_key(exchange, None if operator else _ADMIN)
        changed = await tenants.change_team(conn, caller, seen.id, changes, revision)
    return x.json(TeamReply(team=changed))


async def make_project(exchange: Exchange) -> Reply:
    """POST /v1/projects: a project of the key's team"""
    given: ProjectIn = exchange.body
    caller = tenancy.by_key(exchange, _ADMIN)

    async def write(conn: Link) -> Reply:
        made = await tenants.make_project(
            conn, caller, exchange.team, given.name, given.metadata, given.settings
        )
        return x.json(ProjectReply(project=await tenants.project(conn, caller, str(made))), 201)

    return await idempotency.once(exchange, write)


async def projects(exchange: Exchange) -> Reply:
    """GET /v1/projects: the team's, or the key's one"""
    limit, after = queries.limit(exchange), cursors.read(exchange)
    archived = queries.choice(exchange, "archived", {"true", "false"})
    async with exchange.api.db.connection() as conn:
        found = await tenants.project_page(
            conn,
            exchange.caller,
            name=queries.text(exchange, "name", 120),
            archived=None if archived is None else archived == "true",
            after=after,
            limit=limit + 1,
        )
    more = found[limit - 1].id if len(found) > limit else None
    return x.json(ProjectPage(projects=found[:limit], next_cursor=cursors.write(exchange, more)))


async def project(exchange: Exchange) -> Reply:
    """GET /v1/projects/{id}: one project, with its settings"""
    return x.json(ProjectReply(project=await _project(exchange)))


async def change_project(exchange: Exchange) -> Reply:
    """PATCH /v1/projects/{id}: a merge patch, under If-Match where it is sent"""
    seen = await _project(exchange)
    changes, revision = _said(exchange.body), revisions.wanted(exchange)
    async with exchange.api.db.transaction() as conn:
        caller = tenancy.by_key(exchange, _ADMIN)
        changed = await tenants.change_project(conn, caller, seen.id, changes, revision)
    return x.json(ProjectReply(project=changed))


def _said(patch: TeamPatch | ProjectPatch) -> dict[str, Any]:
    """What the patch names; null is kept, since it has a meaning."""
    return {name: value for name, value in msgspec.structs.asdict(patch).items() if value is not UNSET}


async def _team(exchange: Exchange) -> Team:
    named, own = tenancy.path_id(exchange), exchange.caller.team_id
    if named is not None and own in {None, named}:
        # Also a project's key may see whose it is.
        whole = msgspec.structs.replace(exchange.caller, project_ids=None)
        async with exchange.api.db.connection() as conn:
            caller = whole if own else tenancy.by_key(exchange)
            found = await tenants.teams(conn, caller, named=str(named), limit=1)
        if found and found[0].id == named:
            return found[0]
    raise await tenancy.refuse(exchange, "Team", named, siblings=False)


async def _project(exchange: Exchange) -> Project:
    named = tenancy.path_id(exchange)
    if named is not None:
        async with exchange.api.db.connection() as conn:
            found = await tenants.projects(conn, exchange.caller, named=str(named), limit=1)
        if found and found[0].id == named:
            return found[0]
    raise await tenancy.refuse(exchange, "Project", named)
