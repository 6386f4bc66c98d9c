-- outbox.lanes_within(spots, projects, limit, now) -> due lanes of those projects, locked: oldest due first
--
-- By project, so that the lanes of others cost nothing; one's own are all read, since none but the daemon's claims
-- have an index by due time. Of those that somebody else locks at this moment as many as are wanted may be passed
-- over.

create or replace function outbox.lanes_within(
  p_spots outbox.spot[], p_projects uuid[], p_limit int, p_now timestamptz
) returns bigint[]
language plpgsql
as $$
begin
  return array(
    select l.id
    from unnest(p_spots) s
    cross join lateral (
      select k.id from outbox.lanes k
      where k.id = any (array(
          select c.id from unnest(p_projects) m(id)
          cross join lateral (select o.id, o.due_at from outbox.lanes o
            where o.queue_id = s.queue_id and o.project_id = m.id and o.lease_id is null and o.blocked_by is null
              and o.due_at <= p_now offset 0) c
          where not m.id = any (outbox.paused_shares(s.queue_id, p_now))
          order by c.due_at limit 2 * s.want))
        and k.lease_id is null and k.blocked_by is null and k.due_at <= p_now
      order by k.due_at limit s.want for update skip locked) l
    where s.lane = 0
    limit p_limit);
end
$$;
