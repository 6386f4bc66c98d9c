-- outbox.live_worker(worker) -> its row; OX409 when unknown, fenced, or its last beat is too old to act on
--
-- Waits for nobody. A worker fenced while it claims leaves a lease that reap finds dead. Whose key no longer works:
-- OX403.

create or replace function outbox.live_worker(p_worker uuid) returns outbox.workers
language plpgsql
as $$
declare
  v_worker outbox.workers;
begin
  if session_user <> current_user then
    p_worker := outbox.mine(p_worker);
  end if;
  select * into v_worker from outbox.workers w where w.id = p_worker;
  if v_worker.id is null or v_worker.fenced_at is not null
     or (v_worker.beats and v_worker.beat_at < outbox.clock() - 5 * v_worker.beat_every) then
    perform outbox.refuse(409, 'this worker is unknown or was declared dead: enlist anew', 'LeaseLost');
  end if;
  if not v_worker.beats then
    perform outbox.heard(p_worker);
  end if;
  if v_worker.key_id is not null then
    perform outbox.authorize(v_worker.key_id, 'queues:work');
  end if;
  return v_worker;
end
$$;
