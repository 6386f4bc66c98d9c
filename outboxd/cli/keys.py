"""`outboxd keys`"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from outboxd.cli import tenancy, times
from outboxd.cli.parser import Args, Nouns, listed, owned
from outboxd.cli.reply import Record, Reply, Rows, Text
from outboxd.errors import ConfigError, Conflict, NotFound

if TYPE_CHECKING:
    from outboxd.db.pool import Database
    from outboxd.model import Caller, Key

COLUMNS = ("id", "prefix", "name", "scopes", "projectId", "lastUsedAtEpoch", "expiresAtEpoch")
_SCOPES = ("memories:read", "memories:write")
_ID = "ID|PREFIX"


def add(nouns: Nouns) -> None:
    noun = nouns.noun("keys", "API keys")
    parser = owned(listed(noun.verb("list", "live keys, newest first", every)))
    parser.add_argument("--all", action="store_true", help="also revoked and expired ones")
    parser = owned(noun.verb("create", "a key; its secret is shown this once", create))
    parser.add_argument("--name", help="what it is for")
    parser.add_argument(
        "--scope", type=_scopes, default=_SCOPES, metavar="A,B", help="default memories:read,memories:write"
    )
    parser.add_argument("--operator", action="store_true", help="bound to no team: sees all of them")
    parser.add_argument("--expires", type=times.span, metavar="SPAN", help="from now, such as 90d")
    parser = noun.verb("revoke", "end a key at once", revoke)
    parser.add_argument("key", metavar=_ID, help="which")
    parser.add_argument("--dry-run", action="store_true", help="only say how many jobs it would strand")
    parser = noun.verb("rotate", "a new secret; the old one goes on for a while", rotate)
    parser.add_argument("key", metavar=_ID, help="which")
    parser.add_argument(
        "--overlap", type=times.span, default=timedelta(days=1), metavar="SPAN", help="at most 7d (24h)"
    )
    parser = noun.verb("bootstrap", "the first team, project and keys, unless live keys exist", bootstrap)
    parser.add_argument("--out", metavar="FILE", help="write them there (0600) instead of showing them")


async def every(args: Args, db: "Database") -> Rows:
    from outboxd.store import keys

    async with db.connection() as conn:
        who = await tenancy.caller(conn)
        team, project = await tenancy.scope(conn, who, args)
        found = await keys.listed(conn, who, team=team, project=project, live=not args.all, limit=args.limit)
    columns = (*COLUMNS, "revokedAtEpoch") if args.all else COLUMNS
    return Rows(name="keys", columns=columns, rows=found)


async def create(args: Args, db: "Database") -> Record:
    from outboxd.store import keys

    if args.operator and (args.team or args.project):
        raise ConfigError(["--operator is a key of no team: leave out --team and --project"])
    expires = datetime.now(UTC) + args.expires if args.expires else None
    async with db.transaction() as conn:
        who = await tenancy.caller(conn)
        team, project = await _tenant(args, conn, who)
        key, secret = await keys.mint(
            conn, who, team=team, project=project, scopes=args.scope, name=args.name, expires_at=expires
        )
    return _shown(key, secret)


async def revoke(args: Args, db: "Database") -> Record:
    from outboxd.store import keys

    async with db.transaction() as conn:
        who = await tenancy.caller(conn)
        named = await _named(args.key, conn, who)
        if args.dry_run:
            stranded = await keys.stranded(conn, who, named)
            return Record(fields={"revoked": False, "id": named, "strandedJobs": stranded})
        key = await keys.revoke(conn, who, named)
        stranded = await keys.stranded(conn, who, key.id)
    return Record(
        fields={
            "revoked": True,
            "id": key.id,
            "revokedAtEpoch": key.revoked_at_epoch,
            "strandedJobs": stranded,
        }
    )


async def rotate(args: Args, db: "Database") -> Record:
    from outboxd.store import keys

    async with db.transaction() as conn:
        who = await tenancy.caller(conn)
        old = await _named(args.key, conn, who)
        key, secret = await keys.rotate(conn, who, old, args.overlap)
    return _shown(key, secret)


async def bootstrap(args: Args, db: "Database") -> Reply:
    from outboxd.cli.secret_file import SecretFile
    from outboxd.store import first_keys

    # Before anything is made: a secret that cannot be written would be lost.
    with SecretFile(args.out) as file:
        async with db.transaction() as conn:
            made = await first_keys.make(conn, await tenancy.caller(conn))
            if made is None:
                return Text(text="live keys exist: nothing was made", document={"made": False})
            document = {
                "made": True,
                "teamId": made.team_id,
                "projectId": made.project_id,
                "key": made.project_secret,
                "operatorKey": made.operator_secret,
            }
            file.write(document)
    shown = {"made": True, "out": args.out} if args.out else document
    return Record(fields=shown)


def _scopes(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


async def _tenant(args: Args, conn: "tenancy.Conn", who: "Caller") -> tuple[UUID | None, UUID | None]:
    from outboxd.store import first_keys

    if args.operator:
        return None, None
    if args.team or args.project:
        return await tenancy.scope(conn, who, args)
    return await first_keys.default_project(conn, who)


async def _named(text: str, conn: "tenancy.Conn", who: "Caller") -> UUID:
    """Raises NotFound; Conflict when several keys begin so."""
    from outboxd.store import keys

    try:
        return UUID(text)
    except ValueError:
        found = await keys.prefixed(conn, who, text)
    if not found:
        raise NotFound("Key not found: name it by its id, or by the prefix that `keys list` shows")
    if len(found) > 1:
        ids = ", ".join(str(key.id) for key in found)
        raise Conflict(f"several keys begin so: name it by its id, one of {ids}")
    return found[0].id


def _shown(key: "Key", secret: str) -> Record:
    """The secret is in no later answer."""
    return Record(
        fields={
            "id": key.id,
            "key": secret,
            "name": key.name,
            "teamId": key.team_id,
            "projectId": key.project_id,
            "scopes": key.scopes,
            "expiresAtEpoch": key.expires_at_epoch,
        }
    )
