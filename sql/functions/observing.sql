-- outbox.observing(session, summary) -> how many jobs of generation of its events are not over

create or replace function outbox.observing(p_session uuid, p_summary uuid) returns int
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
  return (
    select count(*)::int from (
      select j.id from outbox.jobs j
      where j.session_id = p_session and j.id <> p_summary and j.event_id is not null
      order by j.id desc limit 2000) j
    where exists (select from outbox.ready r where r.job_id = j.id offset 0)
      or exists (select from outbox.later w where w.job_id = j.id offset 0)
      or j.id = any (array(select m.id from outbox.leases l join outbox.queues q on q.id = l.queue_id
        cross join lateral unnest(l.job_ids) m(id) where q.handler = 'observe')));
end
$$;
