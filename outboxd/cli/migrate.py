"""`outboxd migrate`"""

from datetime import timedelta
from typing import TYPE_CHECKING

from outboxd.cli.parser import Args, Nouns, between
from outboxd.cli.reply import Reply, Text
from outboxd.errors import SchemaError

if TYPE_CHECKING:
    from outboxd.config import Config
    from outboxd.db.migrate import Applied

_LOCK_S = 60


def add(nouns: Nouns) -> None:
    text = "bring the database to this release's schema; safe to run from several places at once"
    parser = nouns.command("migrate", text, migrate, needs="config")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="only say what is pending; exit 4 if anything is")
    what.add_argument("--print", action="store_true", help="the SQL, for a DBA; nothing is done")
    parser.add_argument("--role", metavar="OWNER", help="with --print: run it as this role")
    parser.add_argument(
        "--wait",
        type=between(0, 86_400),
        metavar="SECONDS",
        help="for the database, too; without it only for the lock of another run (60)",
    )


async def migrate(args: Args, config: "Config") -> Reply:
    from outboxd.cli import database
    from outboxd.db import migrate as migrator

    if args.print:
        known = config.listen_url.reveal() if config.listen_url else database.configured(config)
        sql = await migrator.print_sql(known, owner=args.role)
        return Text(text=sql, document={"sql": sql})
    if args.check:
        return await _pending(config)
    dsn, wait = database.direct(config), args.wait
    if wait is None:
        await database.reach(dsn, config)
    return _told(await migrator.migrate(dsn, wait=timedelta(seconds=_LOCK_S if wait is None else wait)))


async def _pending(config: "Config") -> Reply:
    from outboxd.cli import database
    from outboxd.db import migrate as migrator

    dsn = database.direct(config)
    await database.reach(dsn, config)
    state = await migrator.check(dsn)
    lines = [f"pending: {path}" for path in state.pending] or ["the schema is current"]
    lines += [f"newer than this release: {path}" for path in state.newer]
    document = {"current": state.current, "pending": state.pending, "newer": state.newer}
    return Text(text="\n".join(lines), document=document, exit=0 if state.current else SchemaError.exit)


def _told(applied: "Applied") -> Reply:
    lines = [f"applied: {path}" for path in applied.migrations]
    lines += ["functions and views renewed"] if applied.refreshed else ["the schema is current"]
    if applied.for_admin:
        lines += ["", "An administrator should run this; we lack the right:", *applied.for_admin]
    return Text(text="\n".join(lines), document=applied)
