"""The routes about tenants: teams, projects, keys, and what they spent and did."""

from collections.abc import Mapping

from outboxd.api import audit, keys, tenants, usage
from outboxd.api.exchange import Operation
from outboxd.model.audit import AuditPage
from outboxd.model.keys import Connect, KeyMade, KeyPage, KeyReply, KeyRevoked, TeamMade
from outboxd.model.tenants import ProjectPage, ProjectReply, TeamPage, TeamReply
from outboxd.model.usage import Usage

_KEYS = (keys.SCOPE,)
_READ = ("memories:read",)
_ADMIN = ("admin",)

ROUTES: Mapping[str, Mapping[str, Operation]] = {
    "/v1/teams": {
        "POST": Operation(
            handler=tenants.make_team,
            teamless=True,
            operators=True,
            holder="operator",
            body=tenants.TEAM,
            answers={201: TeamMade},
            refuses=(409,),
        ),
        "GET": Operation(
            handler=tenants.teams, teamless=True, query=tenants.LIST_TEAMS, answers={200: TeamPage}
        ),
    },
    "/v1/teams/{id}": {
        "GET": Operation(handler=tenants.team, teamless=True, answers={200: TeamReply}),
        "PATCH": Operation(
            handler=tenants.change_team,
            scopes=_ADMIN,
            teamless=True,
            operators=True,
            holder="team",
            body=tenants.TEAM_PATCH,
            answers={200: TeamReply},
            refuses=(409, 412),
        ),
    },
    "/v1/projects": {
        "POST": Operation(
            handler=tenants.make_project,
            scopes=_ADMIN,
            holder="team",
            body=tenants.PROJECT,
            answers={201: ProjectReply},
            refuses=(409,),
        ),
        "GET": Operation(handler=tenants.projects, query=tenants.LIST_PROJECTS, answers={200: ProjectPage}),
    },
    "/v1/projects/{id}": {
        "GET": Operation(handler=tenants.project, answers={200: ProjectReply}),
        "PATCH": Operation(
            handler=tenants.change_project,
            scopes=_ADMIN,
            body=tenants.PROJECT_PATCH,
            answers={200: ProjectReply},
            refuses=(409, 412),
        ),
    },
    "/v1/keys": {
        "POST": Operation(
            handler=keys.make,
            scopes=_KEYS,
            teamless=True,
            tolerant=True,
            body=keys.BODY,
            answers={201: KeyMade},
            refuses=(404, 409),
        ),
        "GET": Operation(
            handler=keys.listed,
            scopes=_KEYS,
            teamless=True,
            query=keys.LIST_QUERY,
            answers={200: KeyPage},
        ),
    },
    "/v1/keys/{id}": {
        "GET": Operation(handler=keys.one, scopes=_KEYS, teamless=True, answers={200: KeyReply}),
        "DELETE": Operation(handler=keys.revoke, scopes=_KEYS, teamless=True, answers={200: KeyRevoked}),
    },
    "/v1/keys/{id}/rotate": {
        "POST": Operation(
            handler=keys.rotate,
            scopes=_KEYS,
            teamless=True,
            body=keys.ROTATION,
            needs_body=False,
            answers={201: KeyMade},
            refuses=(409,),
        )
    },
    "/v1/connect": {
        "GET": Operation(handler=keys.connect, scopes=_READ, tolerant=True, answers={200: Connect})
    },
    "/v1/usage": {
        "GET": Operation(
            handler=usage.show, scopes=_READ, tolerant=True, query=usage.QUERY, answers={200: Usage}
        )
    },
    "/v1/audit": {
        "GET": Operation(
            handler=audit.listed, scopes=(audit.SCOPE,), query=audit.QUERY, answers={200: AuditPage}
        )
    },
}
