"""`outboxd mcp`: memory as tools, for agents that start their servers themselves."""

from typing import TYPE_CHECKING

from outboxd.cli.parser import Args, Nouns

if TYPE_CHECKING:
    from outboxd.config import Config


def add(nouns: Nouns) -> None:
    text = "tools for agents (MCP) over stdin and stdout, through a running server"
    parser = nouns.process("mcp", text, run)
    parser.add_argument("--url", dest="OUTBOXD_URL", metavar="URL", help="the server (HOST and PORT)")


def run(args: Args, config: "Config") -> int:
    """Ends when whoever started it closes its stdin."""
    import asyncio

    from outboxd.cli.mcp.talk import talk

    return asyncio.run(talk(config))
