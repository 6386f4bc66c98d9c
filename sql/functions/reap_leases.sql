-- outbox.reap_leases(leases) -> (job_id, lease_id, worker_id, state) of every job they still held; rows are locked

create or replace function outbox.reap_leases(p_leases uuid[])
returns table (job_id uuid, lease_id uuid, worker_id uuid, state text)
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
  v_items outbox.settling[];
begin
  v_items := array(
    select i
    from outbox.leases l
    -- Of a worker that does not beat, a lease that has run out is all that says it may be dead.
    cross join lateral (select l.deadline_at <= v_now and exists (select from outbox.workers w
      where w.id = l.worker_id and w.fenced_at is null and w.beats) as hung) h
    cross join lateral unnest(outbox.lease_items(l.id, null,
      case when h.hung then 'timed_out' else 'lost' end, case when h.hung then 'hung' else 'lost' end)) i
    where l.id = any (p_leases)
    order by l.id, i.ord);
  v_items := outbox.decide(v_items, v_now);
  perform outbox.conclude(v_items, v_now);
  return query select i.job_id, i.lease_id, i.worker_id, i.state from unnest(v_items) i;
end
$$;
