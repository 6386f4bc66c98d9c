"""`outboxd secrets`"""

from typing import TYPE_CHECKING

from outboxd.cli import tenancy
from outboxd.cli.confirm import confirm
from outboxd.cli.parser import Args, Nouns, risky
from outboxd.cli.reply import Record

if TYPE_CHECKING:
    from outboxd.config import Config


def add(nouns: Nouns) -> None:
    noun = nouns.noun("secrets", "what is sealed in the database: signing keys and headers of endpoints")
    text = "moves all to the first key of OUTBOXD_SECRET_KEYS, so that the others can be let go"
    risky(noun.verb("reencrypt", text, reencrypt, needs="config"))


async def reencrypt(args: Args, config: "Config") -> Record:
    from outboxd.cli import database
    from outboxd.store import audit, endpoint_keys, secrets

    keys, moved = database.seal_keys(config), 0
    # Says so at once when there is none.
    secrets.head_of(keys)
    async with database.opened(config) as db:
        found = await db.run(lambda conn: endpoint_keys.to_reseal(conn, keys))
        if args.dry_run:
            return Record(fields={"key": keys[0].kid, "moved": 0, "found": found})
        confirm(args, f"Seal {found:,} secrets with the key {keys[0].kid}?")
        while batch := await db.run(lambda conn: endpoint_keys.reseal(conn, keys)):
            moved += batch
        said = {"key": keys[0].kid, "moved": moved}
        async with db.transaction() as conn:
            who = await tenancy.caller(conn)
            await audit.record(conn, who, "secrets.reencrypted", "secrets", None, details=said)
    return Record(fields=said)
