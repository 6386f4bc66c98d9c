-- outbox.begin_purge(caller, project) -> its row in purges: from the commit on nobody reads what is older
--
-- A purge that is going on is given as it is; the mark moves only when none is. Waits for those who are writing
-- memories of the project. Errors: OX404, OX409 (archived).

drop function if exists outbox.begin_purge;
create function outbox.begin_purge(p_caller outbox.caller, p_project uuid) returns outbox.purges
language plpgsql
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_project outbox.projects := outbox.caller_project(v_caller, p_project);
  v_purge outbox.purges;
begin
  perform outbox.need_read_committed();
  perform pg_advisory_xact_lock(hashtextextended('outbox.observations:' || p_project, 0));
  select * into v_purge from outbox.purges p where p.project_id = p_project and p.step < 5;
  if v_purge.project_id is not null then
    return v_purge;
  end if;
  delete from outbox.purges p where p.project_id = p_project;
  insert into outbox.purges as p (project_id, team_id, mark, actor, key_id, request_id)
  values (p_project, v_project.team_id, outbox.clock(), v_caller.actor, v_caller.key_id, v_caller.request_id)
  returning p.* into v_purge;
  update outbox.projects p set purged_at = v_purge.mark where p.id = p_project;
  -- What was numbered until now is not read again: who stands below is told so.
  update outbox.streams s set floor = s.head where s.project_id = p_project;
  return v_purge;
end
$$;
