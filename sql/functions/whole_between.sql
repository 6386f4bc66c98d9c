-- outbox.whole_between(value, low, high) -> is that JSON a whole number in there?

create or replace function outbox.whole_between(p_value jsonb, p_low numeric, p_high numeric) returns boolean
language sql immutable
as $$
  select case when jsonb_typeof(p_value) = 'number'
    then p_value::numeric between p_low and p_high and p_value::numeric = trunc(p_value::numeric) else false end
$$;
