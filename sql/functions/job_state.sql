-- outbox.job_state(job) -> its state and where it stands, from one snapshot
--
-- place: ready, later, leases, dead_letters; none: a keyed job without its place in a lane yet, or ended, then
-- `outcome` says how. attempt, no, series, run_at, lane as they stand there; since: when it came there (leases:
-- claimed, dead letters: failed, ended: when). outcome, class: the last word of the ledger.

drop function if exists outbox.job_state;
create function outbox.job_state(p_job uuid)
returns table (state text, place text, queue_id int, run_at timestamptz, lane bigint, attempt int, no int, series int,
  held text, lease_id uuid, worker_id uuid, since timestamptz, outcome text, class text)
language plpgsql stable
set jit = off set enable_seqscan = off
as $$
begin
  return query
  select case
      when s.place = 'leases' then 'processing'
      when s.place = 'dead_letters' or a.outcome = 'purged' then 'failed'
      when s.place is null and a.outcome in ('completed', 'cancelled') then a.outcome
      else 'queued' end,
    coalesce(s.place, 'none'), j.queue_id, s.run_at, s.lane, coalesce(s.attempt, a.attempt, 0)::int,
    coalesce(s.no, a.no, 0)::int, coalesce(s.series, a.series, 0)::int, s.held, s.lease_id, s.worker_id,
    coalesce(s.since, a.at), a.outcome, a.class
  from outbox.jobs j
  left join lateral (
    select 'leases' as place, m.run_at, m.lane, m.attempt, m.no, m.series, null as held, l.id as lease_id,
      l.worker_id, l.claimed_at as since
    from outbox.leases l
    cross join lateral unnest(l.job_ids, l.run_ats, l.lanes, l.attempts, l.nos, l.series)
      m(job, run_at, lane, attempt, no, series)
    where j.id = any (l.job_ids) and m.job = j.id
    union all
    select 'ready', r.run_at, r.lane, r.attempt, r.no, r.series, null, null, null, null
    from outbox.ready r where r.job_id = j.id
    union all
    select 'later', w.run_at, w.lane, w.attempt, w.no, w.series, w.held, null, null, null
    from outbox.later w where w.job_id = j.id
    union all
    select 'dead_letters', d.place, null, d.attempt, d.no, d.series, null, null, null, d.failed_at
    from outbox.dead_letters d where d.job_id = j.id) s on true
  left join lateral (
    select x.outcome, x.class, x.attempt, x.no, x.series, x.at
    from outbox.attempts x where x.job_id = j.id order by x.no desc limit 1) a on true
  where j.id = p_job;
end
$$;
