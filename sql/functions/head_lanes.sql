-- outbox.head_lanes(items): lanes into which these jobs came back at their old places; their rows are locked
--
-- A free lane that one of them heads is due when that job is; a block that one of them was is lifted.

create or replace function outbox.head_lanes(p_items outbox.settling[]) returns void
language plpgsql
as $$
begin
  update outbox.lanes l set last_place = greatest(l.last_place, i.last_place),
    blocked_by = case when b.still then l.blocked_by end,
    due_at = case when h.due_at is not null and l.lease_id is null and not b.still then h.due_at else l.due_at end,
    held = case when h.due_at is null then l.held end
  from (select u.lane, max(u.run_at) as last_place, array_agg(u.job_id) as jobs
    from unnest(p_items) u where u.lane < 0 group by u.lane) i
  cross join lateral (select (select r.job_id from outbox.lanes k
      join outbox.ready r on r.queue_id = k.queue_id and r.lane = k.id
      where k.id = i.lane order by r.priority, r.run_at, r.job_id limit 1) as job_id) f
  left join lateral (select u.due_at from unnest(p_items) u where u.job_id = f.job_id) h on true
  cross join lateral (select k.blocked_by is not null and not k.blocked_by = any (i.jobs) as still
    from outbox.lanes k where k.id = i.lane offset 0) b
  where l.id = i.lane;
end
$$;
