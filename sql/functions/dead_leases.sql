-- outbox.dead_leases(limit) -> leases to take back, locked: of fenced or vanished workers, or past their time
--
-- In an order that is drawn: leases that cannot be taken back must not stand in front of those that can.

create or replace function outbox.dead_leases(p_limit int) returns uuid[]
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
begin
  return array(
    select l.id from outbox.leases l
    where l.deadline_at <= v_now
      or not exists (select from outbox.workers w where w.id = l.worker_id and w.fenced_at is null)
    order by random() limit p_limit for update skip locked);
end
$$;
