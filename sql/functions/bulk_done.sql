-- outbox.bulk_done(dry_run, matched, picked, done, from, rate) -> the answer of a bulk verb
--
-- A dry run says of all it picked that they would be affected. The sample: the oldest 20 of those picked. With a
-- rate: when the first and the last of them are due.

drop function if exists outbox.bulk_done;
create function outbox.bulk_done(
  p_dry_run boolean, p_matched int, p_picked uuid[], p_done int, p_from timestamptz default null,
  p_rate numeric default null
) returns outbox.bulk
language plpgsql
as $$
declare
  v_matched int := coalesce(p_matched, 0);
  v_picked int := coalesce(cardinality(p_picked), 0);
  v_done int := case when p_dry_run then v_picked else p_done end;
  v_last timestamptz := p_from + make_interval(secs => case when p_rate > 0 then (v_done - 1) / p_rate else 0 end::float8);
begin
  return row(p_dry_run, v_matched, v_done, v_picked - v_done, v_matched - v_picked, coalesce(p_picked[1:20], '{}'),
    case when v_done > 0 then p_from end, case when v_done > 0 then v_last end)::outbox.bulk;
end
$$;
