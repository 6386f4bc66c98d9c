"""`outboxd interactions`"""

from typing import TYPE_CHECKING, Any

from outboxd.cli import tenancy, times
from outboxd.cli.parser import Args, Nouns, Parser, between, listed, owned
from outboxd.cli.reply import Record, Rows
from outboxd.errors import Conflict, NotFound, of_status

if TYPE_CHECKING:
    from outboxd.db.pool import Database
    from outboxd.model import Caller
    from outboxd.model.interactions import Interaction

COLUMNS = (
    "id",
    "kind",
    "state",
    "connectionId",
    "expectedActor",
    "projectId",
    "createdAtEpoch",
    "expiresAtEpoch",
)
_STATES = ("pending", "answered", "withdrawn", "expired")
_PAYLOADS = frozenset({"prompt", "options", "context", "answer"})
_REFUSED = {
    "already_answered": (409, "it was answered before", "AlreadyAnswered"),
    "expired": (410, "it has expired", "Expired"),
    "withdrawn": (410, "it was withdrawn", "Withdrawn"),
}


def add(nouns: Nouns) -> None:
    noun = nouns.noun("interactions", "questions that wait for a person")
    parser = owned(listed(noun.verb("list", "questions, newest first", every)), ["project"])
    parser.add_argument("--state", choices=_STATES, help="only such; past its time one is expired")
    parser.add_argument("--connection", metavar="ID", help="of this channel")
    parser.add_argument("--actor", metavar="WHO", help="for this person")
    parser.add_argument("--kind", choices=("question", "approval", "suggestion"), help="of this kind")
    parser.add_argument("--since", type=times.past, metavar="WHEN", help="asked since")
    parser.add_argument("--until", type=times.past, metavar="WHEN", help="asked before")
    parser = noun.verb("show", "one question", show)
    parser.add_argument("interaction", metavar="ID", help="which")
    parser.add_argument("--payload", action="store_true", help="what was asked and answered as well")
    parser = _named(noun.verb("answer", "answers it for a person, or uses a suggestion", answer))
    parser.add_argument("--actor", metavar="WHO", required=True, help="who answers, as the channel says")
    said = parser.add_mutually_exclusive_group(required=True)
    said.add_argument("--answer", metavar="TEXT", help="what they say")
    said.add_argument("--choice", type=between(0, 24), metavar="N", help="the option, counted from 0")
    parser = _named(noun.verb("withdraw", "nobody shall answer it any more; wakes who asked", withdraw))
    parser.add_argument("--reason", metavar="TEXT", help="for the trail, at most 500 characters")


async def every(args: Args, db: "Database") -> Rows:
    from outboxd.store import interactions
    from outboxd.store.interactions import InteractionFilter

    async with db.connection() as conn:
        who = await tenancy.caller(conn)
        project = await tenancy.project(conn, who, args.project) if args.project else None
        where = InteractionFilter(
            project=project.id if project else None,
            state=args.state,
            connection=args.connection,
            actor=args.actor,
            kind=args.kind,
            since=args.since,
            until=args.until,
        )
        found = await interactions.listed(conn, who, where, after=None, bodies=False, limit=args.limit)
    return Rows(name="interactions", columns=COLUMNS, rows=[each.shown for each in found])


async def show(args: Args, db: "Database") -> Record:
    async with db.connection() as conn:
        found = await _found(conn, await tenancy.caller(conn), args.interaction)
    return Record(fields=_shown(found, payload=args.payload))


async def answer(args: Args, db: "Database") -> Record:
    import msgspec

    from outboxd.store import interactions

    async with db.transaction() as conn:
        who = await tenancy.caller(conn)
        found = await _found(conn, who, args.interaction)
        scope = (found.id, found.project_id, args.connection, args.actor)
        if found.kind == "suggestion":
            choice = _index(found, args)
            event = await interactions.use(conn, who, *scope, choice)
            outcome = "used" if event else await _unused(conn, who, found, args.connection)
        else:
            said = args.answer if args.choice is None else _value(found, args.choice)
            outcome = await interactions.answer(conn, who, *scope, msgspec.json.encode(said))
        after = await _found(conn, who, found.id)
    if outcome in _REFUSED:
        raise of_status(*_REFUSED[outcome])
    if outcome == "none":
        # Committed: that somebody tried is in the trail.
        raise NotFound(f"no interaction {args.interaction} for {args.actor} on {args.connection}")
    return Record(fields={"outcome": outcome, **_shown(after, payload=False)})


async def withdraw(args: Args, db: "Database") -> Record:
    from outboxd.store import interactions

    async with db.transaction() as conn:
        who = await tenancy.caller(conn)
        found = await _found(conn, who, args.interaction)
        scope = (found.id, found.project_id, args.connection)
        await interactions.withdraw(conn, who, *scope, args.reason)
        after = await _found(conn, who, found.id)
    if found.connection_id != args.connection:
        raise NotFound(f"no interaction {args.interaction} on {args.connection}")
    if after.state != "withdrawn":
        raise Conflict(f"it is {after.state}")
    return Record(fields=_shown(after, payload=False))


def _named(parser: Parser) -> Parser:
    parser.add_argument("interaction", metavar="ID", help="which")
    parser.add_argument("--connection", metavar="ID", required=True, help="the channel that shows it")
    return parser


async def _found(conn: "tenancy.Conn", who: "Caller", id_: str) -> "Interaction":
    from outboxd.store import interactions

    found = await interactions.get(conn, who, id_)
    if found is None:
        raise NotFound(f"no interaction {id_}")
    return found


async def _unused(conn: "tenancy.Conn", who: "Caller", found: "Interaction", connection: str) -> str:
    if found.connection_id != connection:
        return "none"
    after = await _found(conn, who, found.id)
    return "expired" if after.state == "pending" else after.state


def _value(found: "Interaction", choice: int) -> str:
    options = found.options or []
    if choice >= len(options):
        raise NotFound(f"no option {choice}")
    return options[choice].value


def _index(found: "Interaction", args: Args) -> int:
    if args.choice is not None:
        return int(args.choice)
    values = [option.value for option in found.options or []]
    if args.answer not in values:
        raise NotFound("no such option")
    return values.index(args.answer)


def _shown(found: "Interaction", *, payload: bool) -> dict[str, Any]:
    import msgspec

    fields: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    return {name: value for name, value in fields.items() if payload or name not in _PAYLOADS}
