"""`outboxd health`: for container checks."""

from datetime import timedelta
from typing import TYPE_CHECKING

from outboxd.cli.parser import Args, Nouns
from outboxd.cli.reply import Text
from outboxd.errors import Error

if TYPE_CHECKING:
    from outboxd.config import Config

_LIMIT = timedelta(seconds=3)


def add(nouns: Nouns) -> None:
    text = "whether this machine's process is ready; exit 0 or 1, within 3 s, without a key"
    parser = nouns.command("health", text, health, needs="config")
    parser.add_argument("--live", action="store_true", help="only whether it lives (/livez)")


async def health(args: Args, config: "Config") -> Text:
    """On METRICS_LISTEN where that is set: a `work` process has no other door."""
    from outboxd.cli import server

    at = config.metrics_listen
    url = f"http://{server.here(at.host)}:{at.port}" if at else server.local(config)
    asked = server.Server(url=url, key=None, timeout=_LIMIT)
    try:
        status, answer = asked.call("GET", "/livez" if args.live else "/readyz")
    except Error as failed:
        return Text(text=failed.detail, document={"status": "unreachable", "message": failed.detail}, exit=1)
    said = answer if isinstance(answer, dict) else {}
    failing = [name for name, state in (said.get("checks") or {}).items() if state != "ok"]
    words = f"{said.get('status', status)}{': ' + ', '.join(failing) if failing else ''}"
    return Text(text=words, document=said, exit=0 if status == 200 else 1)
