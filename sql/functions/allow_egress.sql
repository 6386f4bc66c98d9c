-- outbox.allow_egress(caller, project, on) -> was it allowed before?
--
-- Whether webhooks of the project may go to the private networks of OUTBOXD_EGRESS_ALLOW; operators only, since one
-- tenant's need is not another's right.

drop function if exists outbox.allow_egress;
create function outbox.allow_egress(p_caller outbox.caller, p_project uuid, p_on boolean) returns boolean
language plpgsql
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_project outbox.projects;
begin
  perform outbox.need_operator(v_caller);
  v_project := outbox.find_project(v_caller, p_project);
  if p_on is null then
    perform outbox.refuse(400, 'p_on: true or false');
  end if;
  update outbox.projects p set egress = p_on, updated_at = outbox.clock(), revision = p.revision + 1
  where p.id = p_project;
  perform outbox.audit(v_caller, 'project.egress', 'project', p_project::text, v_project.team_id, p_project,
    jsonb_build_object('old', v_project.egress, 'new', p_on));
  return v_project.egress;
end
$$;
