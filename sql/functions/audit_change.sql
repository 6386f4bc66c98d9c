-- outbox.audit_change(caller, noun, resource, team, project, old, new): `<noun>.updated`, with what differs

create or replace function outbox.audit_change(
  p_caller outbox.caller, p_noun text, p_resource uuid, p_team uuid, p_project uuid, p_old jsonb, p_new jsonb
) returns void
language plpgsql
as $$
begin
  perform outbox.audit(p_caller, p_noun || '.updated', p_noun, p_resource::text, p_team, p_project,
    jsonb_build_object('old', outbox.row_changes(p_new, p_old), 'new', outbox.row_changes(p_old, p_new)));
end
$$;
