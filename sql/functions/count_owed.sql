-- outbox.count_owed(endpoint, range, only, types) -> (matched, exact, oldest, newest): what a recovery would make
--
-- Counts 10,000 at most, and for 10 seconds at most; then it is not exact. range: from behind which number to which.

drop function if exists outbox.count_owed;
create function outbox.count_owed(p_endpoint outbox.endpoints, p_range int8range, p_only text, p_types text[])
returns table (matched int, exact boolean, oldest timestamptz, newest timestamptz)
language plpgsql stable
as $$
declare
  v_most constant int := 10000;
  v_until timestamptz := clock_timestamp() + interval '10 s';
  v_at bigint := lower(p_range);
  v_last bigint := upper(p_range) - 1;
  v_step record;
begin
  matched := 0;
  while v_at < v_last and matched < v_most and clock_timestamp() < v_until loop
    select count(*)::int as n, min(o.sequenced_at) as first, max(o.sequenced_at) as last into v_step
    from (select o.sequenced_at from outbox.owed_events(p_endpoint, v_at, least(v_at + 500, v_last), p_only, p_types) o
      order by o.seq limit v_most - matched) o;
    matched := matched + v_step.n;
    oldest := coalesce(oldest, v_step.first);
    newest := coalesce(v_step.last, newest);
    v_at := v_at + 500;
  end loop;
  exact := v_at >= v_last and matched < v_most;
  return next;
end
$$;
