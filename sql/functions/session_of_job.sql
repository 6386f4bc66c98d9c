-- outbox.session_of_job(job) -> the session that its observations belong to; nulls: none, or it is gone

create or replace function outbox.session_of_job(p_job outbox.jobs) returns outbox.sessions
language plpgsql stable
as $$
declare
  v_session outbox.sessions;
begin
  select s.* into v_session from outbox.sessions s
  where s.id = coalesce(p_job.session_id, (select e.session_id from outbox.events e where e.id = p_job.event_id))
    and s.project_id = p_job.project_id and s.team_id = p_job.team_id;
  return v_session;
end
$$;
