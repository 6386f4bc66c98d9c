-- after: me
-- outbox.use_suggestion(id, project, connection, actor, choice, caller) -> what was chosen, or no row
--
-- Anybody of that project and connection, as often as max_uses allows; each call is a use, counted with its event in
-- one transaction. No row: not there for this connection (that is in the trail), or over.
-- Errors: OX400 (also: no such option), OX409 (archived project).

drop function if exists outbox.use_suggestion;
create function outbox.use_suggestion(
  p_id text, p_project uuid, p_connection text, p_actor text, p_choice int, p_caller outbox.caller default outbox.me()
) returns table (interaction_id text, choice int, value text, uses int, max_uses int, use_event_id uuid)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_row outbox.interactions;
begin
  perform outbox.need_read_committed();
  perform outbox.need_interaction_scope(p_id, p_project, p_connection, p_actor);
  select * into v_row from outbox.interactions i
  where i.id = p_id and i.project_id = p_project and i.connection_id = p_connection and i.kind = 'suggestion'
    and outbox.sees_interaction(v_caller, i);
  if v_row.id is null then
    perform outbox.deny_interaction(v_caller, p_id, p_project, p_connection, p_actor);
    return;
  end if;
  if (p_choice between 0 and jsonb_array_length(v_row.options) - 1) is not true then
    perform outbox.refuse(400, 'p_choice: no such option');
  end if;
  update outbox.interactions i
  set uses = i.uses + 1
  where i.id = p_id and i.project_id = p_project and i.connection_id = p_connection and i.kind = 'suggestion'
    and i.state = 'pending' and i.expires_at > outbox.clock() and i.uses < i.max_uses
    and outbox.sees_interaction(v_caller, i)
  returning i.* into v_row;
  if not found then
    return;
  end if;
  return query select v_row.id, p_choice, v_row.options -> p_choice ->> 'value', v_row.uses, v_row.max_uses,
    outbox.tell_used(v_caller, v_row, p_actor, p_choice);
end
$$;
