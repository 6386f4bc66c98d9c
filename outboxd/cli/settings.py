"""`outboxd config`"""

from typing import TYPE_CHECKING

from outboxd.cli.parser import Args, Nouns
from outboxd.cli.reply import Reply, Rows, Text

if TYPE_CHECKING:
    from outboxd.config import Config


def add(nouns: Nouns) -> None:
    text = "the settings in force, and where each comes from; secrets as ***"
    parser = nouns.command("config", text, effective, needs="config")
    parser.add_argument("--example", action="store_true", help="a file for --env-file, all at their defaults")


async def effective(args: Args, config: "Config") -> Reply:
    from outboxd.config import show

    if args.example:
        example = show.example()
        return Text(text=example, document={"example": example})
    return Rows(name="settings", columns=("name", "value", "source"), rows=list(show.effective(config)))
