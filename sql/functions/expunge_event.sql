-- outbox.expunge_event(caller, event, keep) -> (observations, jobs): its content is gone, its place in the feed stays
--
-- Observations that come from it alone go too, unless `keep`; whoever is writing one at this moment is waited for.
-- Again: zeros. Errors: OX404, OX409 (archived).

drop function if exists outbox.expunge_event;
create function outbox.expunge_event(p_caller outbox.caller, p_event uuid, p_keep boolean default false)
returns table (observations int, jobs int)
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_event outbox.events;
  v_gone uuid[] := '{}';
begin
  perform outbox.need_read_committed();
  select e.* into v_event from outbox.events e join outbox.projects p on p.id = e.project_id
  where e.id = p_event and e.received_at > coalesce(p.purged_at, '-infinity') for update of e;
  if v_event.id is null or outbox.sees(v_caller, v_event.team_id, v_event.project_id) is not true then
    perform outbox.refuse(404, 'Event not found');
  end if;
  perform outbox.caller_project(v_caller, v_event.project_id);
  perform outbox.lock_memory(v_event.project_id);
  observations := 0;
  jobs := 0;
  if v_event.expunged_at is null then
    select x.jobs into jobs from outbox.expunge_events(v_caller, v_event.project_id, array[p_event]) x;
  end if;
  if not p_keep then
    v_gone := outbox.sole_observations(array[p_event]);
    observations := outbox.drop_observations(v_event.project_id, v_gone);
  end if;
  if v_event.expunged_at is null or observations > 0 then
    perform outbox.audit(v_caller, 'event.expunged', 'agent_event', p_event::text, v_event.team_id, v_event.project_id,
      jsonb_build_object('counts', jsonb_build_object('observations', observations, 'jobs', jobs)));
  end if;
  return next;
end
$$;
