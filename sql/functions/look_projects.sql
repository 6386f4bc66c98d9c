-- outbox.look_projects(queue, projects, after lane, limit, now) -> its spots in the shares of those projects only
--
-- By project and not by lane: what waits for others costs nothing here.

create or replace function outbox.look_projects(
  p_queue outbox.queues, p_projects uuid[], p_after bigint, p_limit int, p_now timestamptz
) returns setof outbox.spot
language plpgsql
as $$
declare
  v_paused uuid[] := outbox.paused_shares(p_queue.id, p_now);
  v_mine uuid[] := array(select u from unnest(p_projects) u where not u = any (v_paused));
begin
  if p_after is null and exists (
      select from unnest(v_mine) m(id)
      cross join lateral (select from outbox.lanes k
        where k.queue_id = p_queue.id and k.project_id = m.id and k.lease_id is null and k.blocked_by is null
          and k.due_at <= p_now limit 1 offset 0) l) then
    return next row(p_queue.id, 0, 0, p_now, 1)::outbox.spot;
    p_limit := p_limit - 1;
  end if;
  return query
  select p_queue.id, p.number::bigint, r.priority, r.run_at, coalesce(s.weight, 1)
  from unnest(v_mine) m(id)
  cross join lateral (select p.number from outbox.projects p where p.id = m.id offset 0) p
  cross join lateral (select r.priority, r.run_at from outbox.ready r
    where r.queue_id = p_queue.id and r.lane = p.number order by r.priority, r.run_at limit 1) r
  left join lateral (select s.weight from outbox.shares s
    where s.queue_id = p_queue.id and s.project_id = m.id offset 0) s on true
  where p.number > coalesce(p_after, 0) and r.run_at <= p_now
  order by p.number limit p_limit;
end
$$;
