-- outbox.need_reason(reason): OX400 when it is longer than 500 characters

create or replace function outbox.need_reason(p_reason text) returns void
language plpgsql
as $$
begin
  if char_length(p_reason) > 500 then
    perform outbox.refuse(400, 'p_reason: at most 500 characters');
  end if;
end
$$;
