"""Small SQL trees, to try the migrator with."""

from pathlib import Path

import psycopg


class Sql:
    """A small SQL tree of the test's own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("migrations/0001_first.sql", "-- expand\ncreate table outbox.things (id int primary key);")
        self.write("functions/double.sql", function("double", "p_x int", "select p_x * 2"))
        self.write("views/all_things.sql", "create view outbox.all_things as select id from outbox.things;")

    def write(self, path: str, body: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(body)

    def remove(self, path: str) -> None:
        (self.root / path).unlink()


def function(name: str, arguments: str, body: str) -> str:
    return f"create or replace function outbox.{name}({arguments}) returns int\nlanguage sql as $$ {body} $$;"


def ask(admin: psycopg.Connection, question: str) -> object:
    row = admin.execute(question.encode()).fetchone()
    assert row is not None
    return row[0]


CONCURRENT = """-- expand
-- no transaction
create index concurrently if not exists things_twice on outbox.things ((id * 2));
create index concurrently if not exists things_thrice on outbox.things ((id * 3));
"""
