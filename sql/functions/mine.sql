-- outbox.mine(worker) -> that worker, if this session may speak for it; null otherwise, as if it did not exist
--
-- The daemon's login speaks for all, others for the workers that they enlisted, as long as they are bound to no
-- fewer projects than they were then. Every verb of workers asks, where its session is not the owner's.

create or replace function outbox.mine(p_worker uuid) returns uuid
language plpgsql
as $$
declare
  v_me outbox.caller;
  v_worker outbox.workers;
begin
  if outbox.is_daemon() then
    return p_worker;
  end if;
  v_me := outbox.me();
  select * into v_worker from outbox.workers w where w.id = p_worker and w.login = session_user;
  if v_worker.id is null or not (v_me.everywhere or coalesce(v_worker.project_ids <@ v_me.project_ids, false)) then
    return null;
  end if;
  return p_worker;
end
$$;
