"""`outboxd secrets`"""

from typing import TYPE_CHECKING

from outboxd.cli.parser import Args, Nouns
from outboxd.cli.reply import Record

if TYPE_CHECKING:
    from outboxd.config import Config


def add(nouns: Nouns) -> None:
    noun = nouns.noun("secrets", "what is sealed in the database: signing keys and headers of endpoints")
    noun.verb(
        "reencrypt",
        "moves all to the first key of OUTBOXD_SECRET_KEYS, so that the others can be let go",
        reencrypt,
        needs="config",
    )


async def reencrypt(args: Args, config: "Config") -> Record:
    from outboxd.cli import database
    from outboxd.store import endpoint_keys, secrets

    keys, moved = database.seal_keys(config), 0
    # Says so at once when there is none.
    secrets.head_of(keys)
    async with database.opened(config) as db:
        while batch := await db.run(lambda conn: endpoint_keys.reseal(conn, keys)):
            moved += batch
    return Record(fields={"key": keys[0].kid, "moved": moved})
