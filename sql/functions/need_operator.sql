-- outbox.need_operator(caller): OX403 unless the caller is an operator (sees every team)

create or replace function outbox.need_operator(p_caller outbox.caller) returns void
language plpgsql
as $$
begin
  if p_caller.everywhere is not true then
    perform outbox.refuse(403, 'only an operator may do this');
  end if;
end
$$;
