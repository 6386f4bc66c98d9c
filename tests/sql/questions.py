"""What tests of interactions say often, through the granted verbs."""

from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from tests.sql.engine import Conn, Row

CHAT, ANN = "chat-1", "ann"
YES_OR_NO = [{"value": "yes", "label": "Yes"}, {"value": "no"}]


async def rows(conn: Conn, statement: str, *given: Any) -> list[Row]:
    return await (await conn.execute(statement.encode(), list(given) or None)).fetchall()


async def ask(conn: Conn, project: UUID | None, **given: Any) -> Row:
    """`p_` names without the prefix; a prompt, a connection and an actor of its own."""
    said = {"project": project, "connection": CHAT, "actor": ANN, "prompt": "deploy?", **given}
    named = ", ".join(f"p_{name} => %s" for name in said)
    values = [
        Jsonb(value) if name in {"prompt", "options", "context"} and value is not None else value
        for name, value in said.items()
    ]
    [asked] = await rows(conn, f"select * from outbox.ask({named})", *values)
    return asked


async def answer(
    conn: Conn,
    id_: str | None,
    project: UUID | None,
    said: Any = "yes",
    *,
    connection: str | None = CHAT,
    actor: str | None = ANN,
    digest: str | None = None,
) -> Row:
    value = None if said is None else Jsonb(said)
    [outcome] = await rows(
        conn,
        "select * from outbox.answer(%s, %s, %s, %s, %s, %s)",
        *(id_, project, connection, actor, value, digest),
    )
    return outcome


async def use(
    conn: Conn, id_: str, project: UUID, choice: int = 0, *, connection: str = CHAT, actor: str = "bob"
) -> Row | None:
    found = await rows(
        conn,
        "select * from outbox.use_suggestion(%s, %s, %s, %s, %s)",
        *(id_, project, connection, actor, choice),
    )
    return found[0] if found else None


async def withdraw(
    conn: Conn, id_: str, project: UUID, *, connection: str = CHAT, reason: str | None = None
) -> bool:
    [said] = await rows(
        conn, "select outbox.withdraw(%s, %s, %s, %s) as by_us", id_, project, connection, reason
    )
    return bool(said["by_us"])


async def row(conn: Conn, id_: str) -> Row:
    [found] = await rows(conn, "select * from outbox.interactions where id = %s", id_)
    return found


async def events(conn: Conn, type_: str = "interaction.%") -> list[Row]:
    return await rows(conn, "select * from outbox.events where type like %s order by id", type_)


async def trail(conn: Conn, action: str) -> list[Row]:
    return await rows(conn, "select * from outbox.audit_log where action = %s order by id", action)
