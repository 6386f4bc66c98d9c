-- outbox.stagger(items, rate, from, now) -> the items with due times, and with the lane each belongs to
--
-- A throttle that stands in rows, so it holds through restarts of everything.

create or replace function outbox.stagger(p_items outbox.settling[], p_rate numeric, p_from int, p_now timestamptz)
returns outbox.settling[]
language plpgsql
as $$
begin
  return array(
    select row(i.n, i.lease_id, i.worker_id, i.job_id, i.queue_id,
      case when j.ordering_key is null then p.number else l.id end, -j.priority, i.run_at, i.no, 0, i.series,
      null, null, null, null, null, null, null, null, null, false, null, null, null, 'queued',
      p_now + make_interval(secs => case when p_rate = 0 then 0 else (p_from + i.n - 1) / p_rate end::float8)
      )::outbox.settling
    from (select u.*, row_number() over (order by u.job_id) as n from unnest(p_items) u) i
    cross join lateral (select j.* from outbox.jobs j where j.id = i.job_id offset 0) j
    join outbox.projects p on p.id = j.project_id
    left join lateral (select l.id, l.blocked_by from outbox.lanes l where l.queue_id = j.queue_id
      and l.project_id = j.project_id and l.key = j.ordering_key offset 0) l on true
    order by i.n);
end
$$;
