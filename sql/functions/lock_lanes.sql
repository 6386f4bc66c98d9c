-- outbox.lock_lanes(jobs) -> ids of their lanes that nobody else holds, locked; never waits

create or replace function outbox.lock_lanes(p_jobs uuid[]) returns bigint[]
language plpgsql
as $$
declare
  v_lanes bigint[] := outbox.lanes_of(p_jobs);
begin
  return array(
    select l.id from outbox.lanes l where l.id = any (v_lanes)
    order by l.queue_id, l.project_id, l.key for update skip locked);
end
$$;
