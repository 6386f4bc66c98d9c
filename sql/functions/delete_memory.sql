-- outbox.delete_memory(caller, memory, expunge) -> how many events were expunged besides
--
-- `expunge`: the events that it came from alone lose their content. Errors: OX404, OX409 (archived).

drop function if exists outbox.delete_memory;
create function outbox.delete_memory(p_caller outbox.caller, p_memory uuid, p_expunge boolean default false) returns int
language plpgsql
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_row outbox.observations := outbox.find_memory(v_caller, p_memory);
  v_events uuid[] := case when p_expunge then outbox.sole_events(array[p_memory]) else '{}' end;
  v_expunged int := 0;
begin
  perform outbox.need_read_committed();
  perform outbox.drop_observations(v_row.project_id, array[p_memory]);
  if cardinality(v_events) > 0 then
    select x.events into v_expunged from outbox.expunge_events(v_caller, v_row.project_id, v_events) x;
  end if;
  perform outbox.audit(v_caller, 'observation.deleted', 'observation', p_memory::text, v_row.team_id, v_row.project_id,
    jsonb_build_object('kind', v_row.kind, 'expungedEvents', nullif(v_expunged, 0)));
  return v_expunged;
end
$$;
