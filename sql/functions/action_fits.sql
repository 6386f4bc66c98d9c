-- outbox.action_fits(action, wanted) -> is it that one, or one of that prefix ('api_key.*')? null: any

create or replace function outbox.action_fits(p_action text, p_wanted text) returns boolean
language sql immutable parallel safe
as $$
  select p_wanted is null or p_action = p_wanted
    or (right(p_wanted, 2) = '.*' and starts_with(p_action, left(p_wanted, -1)))
$$;
