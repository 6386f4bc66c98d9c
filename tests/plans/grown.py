"""A database as a busy service leaves it: 1,000 tenants, a week of jobs, much of everything that views read.

Rows go straight into the tables: the verbs would need an hour for what views are to be timed on.
"""

import re
from pathlib import Path
from typing import Any

import psycopg

from outboxd.db import scripts

TENANTS, QUEUES, PER_TEAM = 1000, 50, 10
DAYS = 8

_CLEAR = b"""
do $$
declare
  v_part record;
begin
  for v_part in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    join pg_class p on p.oid = i.inhparent
    where p.relnamespace = 'outbox'::regnamespace and c.relkind = 'r'
  loop
    execute format('drop table outbox.%I', v_part.relname);
  end loop;
end
$$
"""


def fill(conn: psycopg.Connection[Any], jobs: int) -> None:
    """With partitions as in production.

    A tenth of the jobs waits, as many are put off; a seventh was tried again in the last hour.
    """
    conn.execute(_CLEAR)
    conn.execute(f"insert into outbox_test.clock values (now() - interval '{DAYS + 1} days')".encode())
    conn.execute("select outbox.make_partitions(20)")
    conn.execute("delete from outbox_test.clock")
    given = {
        "n": jobs,
        "tenants": TENANTS,
        "teams": TENANTS // PER_TEAM,
        "per_team": PER_TEAM,
        "queues": QUEUES,
        "days": DAYS,
        "waiting": jobs // 10,
        "keyed": jobs // 50,
        "hour": jobs // 7,
    }
    text = Path(__file__).with_suffix(".sql").read_text()
    names = "|".join(given)
    conn.execute(re.sub(rf":({names}):", lambda name: str(given[name[1]]), text).encode())
    conn.execute(scripts.here().joinpath("functions", "clock.sql").read_bytes())
    conn.execute("vacuum analyze")
