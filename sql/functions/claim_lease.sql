-- outbox.claim_lease(worker, rows, now) -> ids of the leases that now hold them
--
-- One lease row per queue and ≤ 100 jobs, keyed ones apart, and one per job where the handler writes. Jobs past their end are ended
-- here instead. Takes the tokens, marks the lanes in hand, drops unique keys that last until the start.

create or replace function outbox.claim_lease(p_worker outbox.workers, p_rows outbox.ready[], p_now timestamptz)
returns uuid[]
language plpgsql
as $$
declare
  v_over outbox.settling[] := outbox.claim_over(p_rows, p_now);
  v_rows outbox.ready[] := p_rows;
  v_leases uuid[];
begin
  if cardinality(v_over) > 0 then
    perform outbox.conclude(v_over, p_now);
    v_rows := array(select r from unnest(p_rows) r
      where not r.job_id = any (array(select o.job_id from unnest(v_over) o)));
  end if;
  with sorted as (
    select r.*, j.timeout, j.unique_until, r.lane < 0 as keyed,
      row_number() over (partition by r.queue_id, r.lane < 0 order by r.job_id) - 1 as n
    from unnest(v_rows) r
    cross join lateral (select j.timeout, j.unique_until from outbox.jobs j where j.id = r.job_id) j
  ), freed as (
    delete from outbox.job_keys k
    where k.job_id = any (array(select s.job_id from sorted s where s.unique_until = 'started'))
  ), made as (
    insert into outbox.leases (id, worker_id, queue_id, claimed_at, deadline_at, expires_at, job_ids, nos,
      attempts, series, run_ats, lanes, priorities)
    select outbox.uuid7(p_now), p_worker.id, s.queue_id, p_now,
      p_now + max(coalesce(s.timeout, q.timeout)) + interval '30 s', p_now + p_worker.lease_for,
      array_agg(s.job_id order by s.job_id), array_agg((s.no + 1)::smallint order by s.job_id),
      array_agg((s.attempt + 1)::smallint order by s.job_id), array_agg(s.series order by s.job_id),
      array_agg(s.run_at order by s.job_id), array_agg(s.lane order by s.job_id),
      array_agg(s.priority order by s.job_id)
    from sorted s
    cross join lateral (select q.timeout, q.handler from outbox.queues q where q.id = s.queue_id) q
    group by s.queue_id, s.keyed, case when q.handler = any (p_worker.writes) then s.n else s.n / 100 end
    returning id, queue_id, job_ids, lanes
  ), spent as (
    update outbox.gates g set filled_at = p_now, tokens = coalesce(outbox.tokens(q, g, p_now), 0) - u.n
    from (select m.queue_id, sum(cardinality(m.job_ids)) as n from made m group by m.queue_id) u
    join outbox.queues q on q.id = u.queue_id
    where g.queue_id = u.queue_id
  ), in_hand as (
    update outbox.lanes l set lease_id = h.lease, job_id = h.job, held = null
    from (select m.id as lease, i.job, i.lane from made m, unnest(m.job_ids, m.lanes) i(job, lane)
      where i.lane < 0) h
    where l.id = h.lane
  )
  select array_agg(m.id) into v_leases from made m;
  return coalesce(v_leases, '{}');
end
$$;
