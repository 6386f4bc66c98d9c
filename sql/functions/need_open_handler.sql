-- outbox.need_open_handler(handler): tenants may have work done by it, else OX403; nobody knows it: OX400
--
-- Open are `pull:<name>`, and what an operator or the app of a worker declared open. Never the built-in ones.

create or replace function outbox.need_open_handler(p_handler text) returns void
language plpgsql stable
as $$
declare
  v_open boolean := (select h.open from outbox.handlers h where h.name = p_handler);
begin
  if p_handler like 'pull:_%' or v_open then
    return;
  elsif v_open is null and not p_handler in ('observe', 'summarize', 'deliver', 'recover') then
    perform outbox.refuse(400, format('unknown handler %s: no worker has offered it yet, and nobody has added it',
      p_handler));
  end if;
  perform outbox.refuse(403, format('the handler %s is not open', p_handler));
end
$$;
