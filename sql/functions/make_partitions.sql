-- outbox.make_partitions(ahead_days) -> how many partitions were made
--
-- Makes what `events`, `feed`, `jobs`, `attempts` and `audit_log` need until `ahead_days` from now. A
-- partition is made as a table of its own and then attached: `partition of` would wait for every open
-- publisher, and everybody behind it. No DEFAULT partition: it forbids `detach concurrently`.

create or replace function outbox.make_partitions(p_ahead int default 3) returns int
language plpgsql
as $$
declare
  v_plan record;
  v_made int := 0;
  v_from timestamptz;
  v_to timestamptz;
  v_name text;
begin
  perform set_config('lock_timeout', '2s', true);
  perform pg_advisory_xact_lock(28514, 0);
  for v_plan in select * from (values
    ('events', 7, true), ('feed', 1, false), ('audit_log', 28, true),
    ('jobs', outbox.setting('partition_days', '1')::int, true),
    ('attempts', outbox.setting('partition_days', '1')::int, true)) p(parent, days, by_id)
  loop
    -- A day back as well: ids are minted by daemons whose clocks run a little behind.
    v_from := coalesce(outbox.partitions_end(v_plan.parent), date_trunc('day', outbox.clock(), 'UTC') - interval '1 day');
    while v_from < outbox.clock() + make_interval(days => p_ahead) loop
      v_to := v_from + make_interval(days => v_plan.days);
      v_name := v_plan.parent || '_' || to_char(v_from at time zone 'UTC', 'YYYYMMDD');
      execute format('create table outbox.%I (like outbox.%I including all)', v_name, v_plan.parent);
      execute format('alter table outbox.%I attach partition outbox.%I for values from (%L) to (%L)',
        v_plan.parent, v_name,
        case when v_plan.by_id then outbox.uuid7_floor(v_from)::text else v_from::text end,
        case when v_plan.by_id then outbox.uuid7_floor(v_to)::text else v_to::text end);
      v_from := v_to;
      v_made := v_made + 1;
    end loop;
  end loop;
  return v_made;
end
$$;
