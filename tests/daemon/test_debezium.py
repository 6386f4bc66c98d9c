"""The daemon that relays `outboxevent` dies between taking rows out and its commit."""

import signal

import psycopg
import pytest

from tests.daemon.daemons import Place

WRITE = """
insert into outbox.outboxevent (id, aggregatetype, aggregateid, type, payload, project_id)
select gen_random_uuid(), 'order', n::text, 'paid', '{}', %s from generate_series(1, 20) n
"""
HANG = """
create function hang() returns trigger language plpgsql as $$
begin perform pg_advisory_xact_lock(42); return null; end $$;
create trigger hang after delete on outbox.outboxevent execute function hang()
"""
ORDER = """
select array_agg(e.ordering_key::int order by f.seq) = array(select generate_series(1, 20))
from outbox.feed f join outbox.events e on e.id = f.event_id
"""


@pytest.mark.proves("G1")
def test_rows_taken_by_a_loop_that_was_killed_arrive_once_in_order(place: Place) -> None:
    project = place.project()
    place.value(WRITE + " returning 1", project)
    with psycopg.connect(place.dsn, autocommit=True) as conn:
        conn.execute(HANG.encode())
        conn.execute("select pg_advisory_lock(42)")
        daemon = place.serve(debezium_table="on").ready()
        place.until(
            "select count(*) > 0 from pg_locks where locktype = 'advisory' and objid = 42 and not granted"
        )
        daemon.signal(signal.SIGKILL)
        daemon.gone(5)
    place.until("select count(*) = 0 from pg_locks where locktype = 'advisory' and objid = 42")

    assert (20, 0) == (
        place.value("select count(*) from outbox.outboxevent"),
        place.value("select count(*) from outbox.events"),
    )
    place.serve(debezium_table="on").ready()
    place.until("select count(*) = 20 from outbox.feed")

    assert place.value(ORDER)
    assert 0 == place.value("select count(*) from outbox.outboxevent")
    assert place.value("select count(*) = 1 from outbox.chore_health where chore = 'debezium'")
