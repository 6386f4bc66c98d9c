-- after: me
-- outbox.withdraw(id, project, connection, reason, caller) -> was it withdrawn by this call?
--
-- The asker ends it, and is woken by `interaction.withdrawn`. What is over stays as it is; a wrong scope is in the
-- trail. Errors: OX400, OX409 (archived project).

drop function if exists outbox.withdraw;
create function outbox.withdraw(
  p_id text, p_project uuid, p_connection text, p_reason text default null, p_caller outbox.caller default outbox.me()
) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_row outbox.interactions;
begin
  perform outbox.need_read_committed();
  perform outbox.need_interaction_scope(p_id, p_project, p_connection, '*');
  perform outbox.need_reason(p_reason);
  update outbox.interactions i
  set state = 'withdrawn', ended_at = outbox.clock(), ended_reason = p_reason
  where i.id = p_id and i.project_id = p_project and i.connection_id = p_connection
    and i.state = 'pending' and i.expires_at > outbox.clock() and outbox.sees_interaction(v_caller, i)
  returning i.* into v_row;
  if found then
    perform outbox.audit_interaction(v_caller, v_row, 'interaction.withdrawn', jsonb_build_object('reason', p_reason));
    perform outbox.tell_interactions(array[outbox.interaction_event(v_caller, v_row, 'interaction.withdrawn',
      outbox.interaction_told(v_row) || jsonb_build_object('reason', p_reason))]);
    return true;
  end if;
  if not exists (select from outbox.interactions i
                 where i.id = p_id and i.project_id = p_project and i.connection_id = p_connection
                   and outbox.sees_interaction(v_caller, i)) then
    perform outbox.deny_interaction(v_caller, p_id, p_project, p_connection);
  end if;
  return false;
end
$$;
