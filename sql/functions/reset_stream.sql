-- outbox.reset_stream(caller, project) -> its position under a new epoch, to which no earlier one leads; operators only
--
-- For a server that hides its timeline, after a failover that lost the end of history: every subscriber is told
-- `epoch`, and begins anew. Errors: OX403, OX404.

drop function if exists outbox.reset_stream;
create function outbox.reset_stream(p_caller outbox.caller, p_project uuid) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_project outbox.projects;
  v_position text;
begin
  perform outbox.need_read_committed();
  perform outbox.need_operator(v_caller);
  v_project := outbox.find_project(v_caller, p_project);
  update outbox.streams s set epoch = left(md5(gen_random_uuid()::text), 8), cluster = outbox.cluster()
  where s.project_id = p_project returning s.epoch || '-' || s.head into v_position;
  delete from outbox.stream_epochs e where e.project_id = p_project;
  perform outbox.audit(v_caller, 'stream.reset', 'project', p_project::text, v_project.team_id, p_project,
    jsonb_build_object('position', v_position));
  return v_position;
end
$$;
