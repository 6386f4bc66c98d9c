"""`outboxd handlers`"""

from typing import TYPE_CHECKING

from outboxd.cli import tenancy
from outboxd.cli.parser import Args, Nouns, listed
from outboxd.cli.reply import Record, Rows
from outboxd.errors import NotFound

if TYPE_CHECKING:
    from outboxd.db.pool import Database

COLUMNS = ("name", "open", "declaredBy", "createdAtEpoch")


def add(nouns: Nouns) -> None:
    noun = nouns.noun("handlers", "what routes may name: declared `sql:` and Python handlers")
    listed(noun.verb("list", "declared handlers", every))
    parser = noun.verb("add", "declare a handler", declare)
    parser.add_argument("name", help="sql:schema.function, or the name of a Python handler")
    parser.add_argument("--closed", action="store_true", help="only operators may route to it")
    noun.verb("remove", "no new route may name it; jobs it owes are still run", remove).add_argument(
        "name", help="which"
    )


async def every(args: Args, db: "Database") -> Rows:
    from outboxd.store import declared

    async with db.connection() as conn:
        found = await declared.listed(conn, args.limit)
    return Rows(name="handlers", columns=COLUMNS, rows=found)


async def declare(args: Args, db: "Database") -> Record:
    from outboxd.store import declared

    async with db.transaction() as conn:
        new = await declared.add(conn, await tenancy.caller(conn), args.name, is_open=not args.closed)
    return Record(fields={"name": args.name, "open": not args.closed, "new": new})


async def remove(args: Args, db: "Database") -> Record:
    from outboxd.store import declared

    async with db.transaction() as conn:
        if not await declared.remove(conn, await tenancy.caller(conn), args.name):
            raise NotFound(f"no handler {args.name} is declared")
    return Record(fields={"name": args.name, "removed": True})
