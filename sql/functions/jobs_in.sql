-- outbox.jobs_in(states, ids) -> (job_id, state, class, failed_at) of the jobs in these states (of those ids, null: all)

drop function if exists outbox.jobs_in;
create function outbox.jobs_in(p_states text[], p_ids uuid[])
returns table (job_id uuid, state text, class text, failed_at timestamptz)
language plpgsql stable
as $$
begin
  return query
  select d.job_id, 'failed', d.class, d.failed_at from outbox.dead_letters d
  where 'failed' = any (p_states) and (p_ids is null or d.job_id = any (p_ids))
  union all
  select r.job_id, 'queued', null, null from outbox.ready r
  where 'queued' = any (p_states) and (p_ids is null or r.job_id = any (p_ids))
  union all
  select w.job_id, 'queued', null, null from outbox.later w
  where 'queued' = any (p_states) and (p_ids is null or w.job_id = any (p_ids))
  union all
  select u.job_id, 'queued', null, null
  from (select unnest(p.jobs) as job_id from outbox.pending p where p.jobs is not null
    union all
    select unnest(f.jobs) from outbox.unplaced b
    join outbox.feed f on f.project_id = b.project_id and f.seq between b.first_seq and b.last_seq
      and f.sequenced_at = b.sequenced_at and f.jobs is not null) u
  where 'queued' = any (p_states) and (p_ids is null or u.job_id = any (p_ids))
    and not exists (select from outbox.attempts a where a.job_id = u.job_id offset 0)
  union all
  select m.job_id, 'processing', null, null from outbox.leases l cross join lateral unnest(l.job_ids) m(job_id)
  where 'processing' = any (p_states) and (p_ids is null or m.job_id = any (p_ids))
  union all
  select a.job_id, 'cancelled', a.class, null from outbox.attempts a
  where 'cancelled' = any (p_states) and (p_ids is null or a.job_id = any (p_ids)) and a.outcome = 'cancelled'
    and not exists (select from outbox.attempts b where b.job_id = a.job_id and b.no > a.no offset 0);
end
$$;
