-- outbox.take_lock(worker) -> the server incarnation on which this session took the worker's liveness lock
--
-- Called on the LISTEN connection, whose end Postgres notices at once when the process dies. Null: somebody
-- else holds it, and only beats count. Never waits.

create or replace function outbox.take_lock(p_worker uuid) returns text
language plpgsql
as $$
declare
  v_no int := (select w.lock_no from outbox.workers w where w.id = p_worker);
  v_here text := outbox.incarnation();
begin
  if v_no is null or not pg_try_advisory_lock(28514, v_no) then
    update outbox.workers w set incarnation = null where w.id = p_worker;
    return null;
  end if;
  update outbox.workers w set incarnation = v_here where w.id = p_worker;
  return v_here;
end
$$;
