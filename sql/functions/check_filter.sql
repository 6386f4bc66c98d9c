-- outbox.check_filter(filter): OX400 for a value of the wrong kind

create or replace function outbox.check_filter(p_filter jsonb) returns void
language plpgsql
as $$
declare
  v_wrong text := case
    when p_filter ? 'ids' and (p_filter - '{ids,status}'::text[]) <> '{}' then 'ids stands alone'
    when p_filter ? 'ids' and (jsonb_typeof(p_filter -> 'ids') <> 'array'
      or jsonb_array_length(p_filter -> 'ids') not between 1 and 1000) then 'ids: 1 to 1,000 of them'
    when p_filter ? 'status' and jsonb_typeof(p_filter -> 'status') <> 'array' then 'status: a list'
    when p_filter ? 'classification' and jsonb_typeof(p_filter -> 'classification') <> 'array' then 'classification: a list'
    when p_filter ->> 'sourceType' not in ('agent_event', 'session_summary', 'observation_reindex', 'direct')
      then 'sourceType: agent_event, session_summary, observation_reindex, direct'
    when exists (select from jsonb_each(p_filter) f where jsonb_typeof(f.value) = 'null') then 'no value may be null'
  end;
begin
  if v_wrong is not null then
    perform outbox.refuse(400, 'p_filter: ' || v_wrong);
  end if;
end
$$;
