-- outbox.timeline(caller, event) -> at, kind, job_id, details: everything that followed from it, oldest first, at most 500
--
-- As GET /v1/events/{id}/timeline says it, the audit log included. Foreign, unknown or purged: OX404.

drop function if exists outbox.timeline;
create function outbox.timeline(p_caller outbox.caller, p_event uuid)
returns table (at timestamptz, kind text, job_id uuid, details jsonb)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
begin
  if not exists (
    select from outbox.events e join outbox.projects p on p.id = e.project_id
    where e.id = p_event and e.received_at > coalesce(p.purged_at, '-infinity')
      and outbox.sees(v_caller, e.team_id, e.project_id)
  ) then
    perform outbox.refuse(404, 'Event not found');
  end if;
  return query
  select t.at, t.kind, (t.said ->> 'jobId')::uuid, t.said - 'jobId'
  from outbox.event_timeline(p_event, true, 500) t;
end
$$;
