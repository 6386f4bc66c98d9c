"""`outboxd events tail`: a stream of a running server, line by line, resumed where it broke off."""

import http.client
import json
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from outboxd.cli.parser import Args, Noun, between
from outboxd.cli.reply import Text
from outboxd.errors import ConfigError, of_status

if TYPE_CHECKING:
    from outboxd.cli.server import Server
    from outboxd.config import Config

_SILENCE = timedelta(seconds=40)
"""Between two keepalives there are 15 s."""
_AFTER_FAILURE = 2.0


def add(noun: Noun) -> None:
    parser = noun.verb("tail", "as they come, through a running server", tail, needs="config")
    parser.add_argument("--url", dest="OUTBOXD_URL", metavar="URL", help="the server (HOST and PORT)")
    parser.add_argument("--project", metavar="ID", help="for a key of a team")
    parser.add_argument("--type", action="append", default=[], metavar="PATTERN", help="a type, or a.*")
    parser.add_argument("--from", dest="position", metavar="POSITION", help="earliest, or one you have seen")
    parser.add_argument("--payload", action="store_true", help="their payload and metadata as well")
    parser.add_argument("--count", type=between(1, 1_000_000), metavar="N", help="end after so many")


async def tail(args: Args, config: "Config") -> Text:
    import asyncio

    from outboxd.cli import server

    project = args.project or config.project_id
    if not project:
        raise ConfigError(["--project or OUTBOXD_PROJECT_ID: which project's events?"])
    at = server.of(config, _SILENCE)
    await asyncio.to_thread(_follow, args, at, f"/v1/projects/{project}/stream")
    return Text(text="", document=None)


def _follow(args: Args, at: "Server", path: str) -> None:
    """Until so many were told; a broken connection is made again, behind what was seen."""
    last, told = args.position or "", 0
    while True:
        try:
            for name, position, data in _blocks(at, path, args.type, last):
                last = position or last
                if name == "outboxd.checkpoint":
                    continue
                _write(json.dumps({"stream": name, **data}) if name else _line(data, payload=args.payload))
                told += not name
                if told == args.count:
                    return
        except (OSError, http.client.HTTPException):
            time.sleep(_AFTER_FAILURE)


def _blocks(at: "Server", path: str, types: list[str], last: str) -> Iterator[tuple[str, str, Any]]:
    """(name, id, data) of each block of one connection."""
    query = [("type", each) for each in types] + ([("last_event_id", last)] if last else [])
    conn = at.connection()
    try:
        target = path + (f"?{urlencode(query)}" if query else "")
        headers = {"authorization": f"Bearer {at.key}", "accept": "text/event-stream"}
        conn.request("GET", target, headers=headers)
        answer = conn.getresponse()
        if answer.status != 200:
            said = json.loads(answer.read() or b"{}")
            raise of_status(answer.status, said.get("message", "refused"), said.get("error"))
        fields: dict[str, str] = {}
        for raw in answer:
            line = raw.decode().rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                yield fields.get("event", ""), fields.get("id", ""), json.loads(fields["data"])
                fields = {}
    finally:
        conn.close()


def _line(event: dict[str, Any], *, payload: bool) -> str:
    shown = ("position", "id", "eventType", "subject", "orderingKey", "occurredAtEpoch")
    wanted = (*shown, "payload", "metadata", "dataref") if payload else shown
    return json.dumps({name: event[name] for name in wanted if event.get(name) is not None})


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
