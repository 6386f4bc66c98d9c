-- outbox.bulk_done(dry_run, matched, picked, done, first due, last due) -> the answer of a bulk verb
--
-- A dry run says of all it picked that they would be affected. The sample: up to 20 ids, oldest first.

drop function if exists outbox.bulk_done;
create function outbox.bulk_done(
  p_dry_run boolean, p_matched int, p_picked uuid[], p_done uuid[],
  p_first timestamptz default null, p_last timestamptz default null
) returns outbox.bulk
language plpgsql
as $$
declare
  v_matched int := coalesce(p_matched, 0);
  v_picked int := coalesce(cardinality(p_picked), 0);
  v_done uuid[] := coalesce(case when p_dry_run then p_picked else p_done end, '{}');
begin
  return row(p_dry_run, v_matched, cardinality(v_done), v_picked - cardinality(v_done), v_matched - v_picked,
    array(select u.id from unnest(v_done) u(id) order by u.id limit 20), p_first, p_last)::outbox.bulk;
end
$$;
