-- outbox.uses_queue(team, queue) -> did it make it, route to it, or have a job in it among its newest 20,000?
--
-- What no team has made is everybody's.

create or replace function outbox.uses_queue(p_team uuid, p_queue outbox.queues) returns boolean
language plpgsql stable
as $$
begin
  return p_queue.made_by is null or p_queue.made_by = p_team
    or exists (select from outbox.routes r
      where r.queue_id = p_queue.id and (r.team_id = p_team or r.team_id is null))
    or exists (select from outbox.workers w
      where w.team_id = p_team and p_queue.name = any (w.queues))
    or exists (select from (
      select j.queue_id from outbox.projects p
      cross join lateral (select j.queue_id from outbox.jobs j where j.project_id = p.id
        order by j.id desc limit 5000 offset 0) j
      where p.team_id = p_team limit 20000) n
      where n.queue_id = p_queue.id);
end
$$;
