"""`python -m tests.schema` writes sql/schema.sql and the signatures in sql/README.md, from the catalog."""

import asyncio
from pathlib import Path

from outboxd.db import schema
from tests import cluster
from tests import promised as contract

FILE = Path(__file__).parents[1] / "sql" / "schema.sql"


def main() -> None:
    with cluster.private(cluster.FAST) as server:
        cluster.prepare(server.dsn())
        FILE.write_text(asyncio.run(schema.describe(server.dsn())))
        contract.write(server.dsn())


if __name__ == "__main__":
    main()
