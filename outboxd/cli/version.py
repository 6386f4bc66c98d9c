"""`outboxd version`"""

import sys

import msgspec

from outboxd import __version__
from outboxd.cli.parser import Args, Nouns
from outboxd.cli.reply import Record


class Version(msgspec.Struct, frozen=True, kw_only=True):
    version: str
    schema: str
    """The newest migration that this release brings."""
    python: str


def add(nouns: Nouns) -> None:
    nouns.command("version", "version, schema version, Python", show, needs="nothing")


async def show(args: Args) -> Record:
    from outboxd.db import scripts

    newest = scripts.read(scripts.here()).migrations[-1]
    return Record(fields=Version(version=__version__, schema=newest.name, python=sys.version.split()[0]))
