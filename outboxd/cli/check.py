"""`outboxd check`"""

from typing import TYPE_CHECKING

from outboxd.cli.parser import Args, Nouns
from outboxd.cli.reply import Rows

if TYPE_CHECKING:
    from outboxd.config import Config


def add(nouns: Nouns) -> None:
    text = "whether settings, server, rights and schema are as they should be; exit 1 if anything fails"
    parser = nouns.command("check", text, check, needs="config")
    parser.add_argument("--providers", action="store_true", help="make one small call of each provider too")
    parser.add_argument(
        "--restored", action="store_true", help="after a restore, before anything runs: what happens again"
    )


async def check(args: Args, config: "Config") -> Rows:
    from outboxd.cli import findings, provider_findings

    found = await findings.all_of(config)
    if args.providers:
        found += await provider_findings.all_of(config)
    if args.restored:
        from outboxd.cli import restored_findings

        found += await restored_findings.all_of(config)
    failed = any(one.level == "fail" for one in found)
    return Rows(
        name="findings", columns=("level", "subject", "finding", "cure"), rows=found, exit=1 if failed else 0
    )
