-- outbox.tell_deleted(project, type, ids): subscribers hear that these are gone, 500 an event, without content

create or replace function outbox.tell_deleted(p_project uuid, p_type text, p_ids uuid[]) returns void
language plpgsql
as $$
begin
  for v_from in 1 .. coalesce(cardinality(p_ids), 0) by 500 loop
    perform outbox.announce(p_project, p_type, jsonb_build_object('ids', to_jsonb(p_ids[v_from : v_from + 499])));
  end loop;
end
$$;
