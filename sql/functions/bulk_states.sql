-- outbox.bulk_states(filter, default, allowed) -> the states that a bulk verb looks in; OX400 for a wrong filter
--
-- A filter is {ids: 1 to 1,000} or at least one of the others; with ids, every state the verb takes, unless
-- status names some.

create or replace function outbox.bulk_states(p_filter jsonb, p_default text[], p_allowed text[]) returns text[]
language plpgsql
as $$
declare
  v_known constant text[] := '{ids,projectId,status,queue,handler,sourceType,classification,since,until,sessionId}';
  v_states text[];
  v_wrong text;
begin
  if p_filter is null or jsonb_typeof(p_filter) <> 'object' or p_filter = '{}' then
    perform outbox.refuse(400, 'p_filter: an object with at least one of ' || array_to_string(v_known, ', '));
  end if;
  v_wrong := (select k from jsonb_object_keys(p_filter) k where not k = any (v_known) order by k limit 1);
  if v_wrong is not null then
    perform outbox.refuse(400, 'p_filter: unknown ' || v_wrong);
  end if;
  perform outbox.check_filter(p_filter);
  v_states := case when p_filter ? 'status' then array(select jsonb_array_elements_text(p_filter -> 'status'))
    when p_filter ? 'ids' then p_allowed else p_default end;
  v_wrong := (select s from unnest(v_states) s where not s = any (p_allowed) limit 1);
  if v_wrong is not null or cardinality(v_states) = 0 then
    perform outbox.refuse(400, 'p_filter: status is of ' || array_to_string(p_allowed, ', '));
  end if;
  return v_states;
end
$$;
