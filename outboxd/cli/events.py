"""`outboxd events`"""

import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outboxd.cli import tail, tenancy, times
from outboxd.cli.parser import Args, Nouns, listed, owned
from outboxd.cli.reply import Page, Record, Reply, Rows
from outboxd.errors import ConfigError, NotFound

if TYPE_CHECKING:
    from outboxd.config import Config
    from outboxd.db.pool import Database

COLUMNS = ("id", "eventType", "sourceAdapter", "orderingKey", "position", "projectId", "receivedAtEpoch")
_JOBS = (
    "id",
    "status",
    "queue",
    "handler",
    "attempts",
    "runAtEpoch",
    "lastError.classification",
    "lastError.reason",
)
_TIMELINE = ("atEpoch", "kind", "said")
_BATCH = 500
_MOST = 500
_WAIT = timedelta(seconds=30)
"""What the server holds a `wait=true` for."""


def add(nouns: Nouns) -> None:
    noun = nouns.noun("events", "what was accepted durably")
    parser = owned(listed(noun.verb("list", "events, newest first", every)), ["project"])
    parser.add_argument("--type", action="append", metavar="PATTERN", help="a type, or a prefix a.*")
    parser.add_argument("--since", type=times.past, metavar="WHEN", help="received since")
    parser.add_argument("--until", type=times.past, metavar="WHEN", help="received before")
    parser = noun.verb("show", "one event, its jobs and timeline", show)
    parser.add_argument("event", metavar="ID", help="which")
    parser.add_argument("--payload", action="store_true", help="its payload and metadata as well")
    tail.add(noun)
    parser = noun.verb("publish", "through a running server", publish, needs="config")
    parser.add_argument("--url", dest="OUTBOXD_URL", metavar="URL", help="the server (HOST and PORT)")
    parser.add_argument("type", help="1 to 255 characters; with --data - of lines that name none")
    parser.add_argument(
        "--data", metavar="JSON|-|@FILE", default="{}", help="the payload; - reads JSON lines, 500 a batch"
    )
    parser.add_argument("--key", metavar="TEXT", help="the same key twice is one event")
    parser.add_argument("--ordering-key", metavar="TEXT", help="its jobs wait for those of earlier events")
    parser.add_argument("--project", metavar="ID", help="for a key of a team or an operator")
    parser.add_argument("--wait", action="store_true", help="until its generation job is over, at most 30 s")


async def every(args: Args, db: "Database") -> Rows:
    from outboxd.store import events
    from outboxd.store.events import EventFilter

    async with db.connection() as conn:
        who = await tenancy.caller(conn)
        project = await tenancy.project(conn, who, args.project) if args.project else None
        where = EventFilter(
            project=project.id if project else None, types=args.type, since=args.since, until=args.until
        )
        found = await events.listed(
            conn, who, where, after=None, ascending=False, bodies=False, limit=args.limit
        )
    return Rows(name="events", columns=COLUMNS, rows=found)


async def show(args: Args, db: "Database") -> Page:
    from outboxd.api import job_views
    from outboxd.model import epoch
    from outboxd.store import events, history

    event = tenancy.uuid(args.event, "event")
    async with db.connection() as conn:
        who = await tenancy.caller(conn)
        found = await events.of_ids(conn, who, [event])
        if not found:
            raise NotFound(f"no event {event}")
        made = [job.id for job in await history.of_events(conn, [event])]
        jobs = [job_views.entry(job) for job in await history.of_ids(conn, who, made)]
        timeline = await events.timeline(conn, event, audit=True, limit=_MOST)
    fields = _shown(found[0], payload=args.payload)
    entries = [{"atEpoch": epoch(each.at), "kind": each.kind, "said": each.said} for each in timeline]
    return Page(
        parts=(
            ("", Record(fields=fields)),
            ("jobs", Rows(name="jobs", columns=_JOBS, rows=jobs)),
            ("timeline", Rows(name="timeline", columns=_TIMELINE, rows=entries)),
        ),
        document={"event": fields, "jobs": jobs, "timeline": entries},
    )


async def publish(args: Args, config: "Config") -> Reply:
    import asyncio

    from outboxd.cli import server

    if args.data == "-":
        if args.key or args.ordering_key:
            raise ConfigError(["--key and --ordering-key are for one event: with --data - lines say theirs"])
        return await _lines(args, config)
    at = server.of(config, _WAIT if args.wait else timedelta())
    query = {"wait": "true"} if args.wait else None
    answer = await asyncio.to_thread(at.post, "/v1/events", _event(args, config, _payload(args.data)), query)
    return Record(fields={"id": answer["event"]["id"], **answer} if args.json else _told(answer))


async def _lines(args: Args, config: "Config") -> Rows:
    """Batches in order, each all or nothing; the first that is refused ends it."""
    import asyncio

    from outboxd.cli import server

    at = server.of(config, _WAIT if args.wait else timedelta())
    query = {"wait": "true"} if args.wait else None
    rows: list[dict[str, Any]] = []
    items = _read(args, config)
    while batch := await asyncio.to_thread(lambda: list(islice(items, _BATCH))):
        answer = await asyncio.to_thread(at.post, "/v1/events/batch", batch, query)
        rows += [_told(each) for each in answer["events"]]
    return Rows(name="events", columns=("id", "eventType", "duplicate", "jobs"), rows=rows)


def _read(args: Args, config: "Config") -> Iterator[dict[str, Any]]:
    """A line is an event as the API takes it, or any other JSON: then it is the payload."""
    for number, line in enumerate(sys.stdin, 1):
        if line.strip():
            try:
                value = json.loads(line)
            except ValueError:
                raise ConfigError([f"line {number} is no JSON"]) from None
            if isinstance(value, dict) and ("eventType" in value or "payload" in value):
                yield {**_event(args, config, {}), **value}
            else:
                yield _event(args, config, value)


def _event(args: Args, config: "Config", payload: Any) -> dict[str, Any]:
    said = {
        "eventType": args.type,
        "payload": payload,
        "idempotencyKey": args.key,
        "orderingKey": args.ordering_key,
        "projectId": args.project or config.project_id,
    }
    return {name: value for name, value in said.items() if value is not None}


def _payload(text: str) -> Any:
    try:
        return json.loads(Path(text[1:]).read_text() if text.startswith("@") else text)
    except OSError as failed:
        raise NotFound(f"{text[1:]} cannot be read: {failed.strerror}") from None
    except ValueError:
        raise ConfigError(["--data: this is no JSON"]) from None


def _told(published: dict[str, Any]) -> dict[str, Any]:
    """What a person wants to know of an accepted event."""
    event = published["event"]
    return {
        "id": event["id"],
        "eventType": event["eventType"],
        "duplicate": bool(published.get("duplicate")),
        "jobs": [f"{job['queue']} {job['id']}" for job in published.get("jobs", [])],
    }


def _shown(event: Any, *, payload: bool) -> dict[str, Any]:
    import msgspec

    fields = msgspec.json.decode(msgspec.json.encode(event))
    return {name: value for name, value in fields.items() if payload or name not in {"payload", "metadata"}}
