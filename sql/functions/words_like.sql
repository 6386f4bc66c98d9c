-- outbox.words_like(value, pattern, low, high) -> is that JSON a list of so many strings of that pattern?

create or replace function outbox.words_like(p_value jsonb, p_pattern text, p_low numeric, p_high numeric) returns boolean
language sql immutable
as $$
  select case when jsonb_typeof(p_value) = 'array'
    then jsonb_array_length(p_value) between p_low and p_high and not exists (
      select from jsonb_array_elements(p_value) w where jsonb_typeof(w) <> 'string' or w #>> '{}' !~ p_pattern)
    else false end
$$;
