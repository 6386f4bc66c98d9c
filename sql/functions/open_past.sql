-- outbox.open_past(from) -> how many partitions of `events` were made, so that events may be put in from then on
--
-- Backwards from the one of the present, a week each, and what lies between two that are there. For imports: nothing
-- else writes into the past. At most 10 years.

create or replace function outbox.open_past(p_from timestamptz) returns int
language plpgsql
as $$
declare
  v_from timestamptz := date_trunc('day', greatest(p_from, outbox.clock() - interval '3660 days'), 'UTC');
  v_to timestamptz := outbox.clock();
  v_next timestamptz;
  v_made int := 0;
  v_name text;
begin
  perform set_config('lock_timeout', '2s', true);
  perform pg_advisory_xact_lock(28514, 0);
  while v_to > v_from loop
    select b.low into v_next from outbox.event_bounds() b where b.low < v_to and b.high >= v_to;
    if not found then
      v_next := greatest(v_to - interval '7 days',
        (select max(b.high) from outbox.event_bounds() b where b.high < v_to));
      v_name := 'events_' || to_char(v_next at time zone 'UTC', 'YYYYMMDD');
      execute format('create table outbox.%I (like outbox.events including all)', v_name);
      execute format('alter table outbox.events attach partition outbox.%I for values from (%L) to (%L)',
        v_name, outbox.uuid7_floor(v_next), outbox.uuid7_floor(v_to));
      v_made := v_made + 1;
    end if;
    v_to := v_next;
  end loop;
  return v_made;
end
$$;
