-- outbox.interaction_state(row) -> its state; past its time it is expired, swept or not

create or replace function outbox.interaction_state(p_row outbox.interactions) returns text
language sql stable
as $$
  select case when (p_row).state = 'pending' and (p_row).expires_at <= outbox.clock() then 'expired' else (p_row).state end
$$;
