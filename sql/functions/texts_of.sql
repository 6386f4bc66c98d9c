-- outbox.texts_of(value) -> the strings of a JSON array; of a string itself; none of anything else

create or replace function outbox.texts_of(p_value jsonb) returns text[]
language sql immutable parallel safe
as $$
  select case jsonb_typeof(p_value)
    when 'string' then array[p_value #>> '{}']
    when 'array' then array(select v.value #>> '{}' from jsonb_array_elements(p_value) v (value)
      where jsonb_typeof(v.value) = 'string')
    else '{}' end
$$;
