-- outbox.make_room(team, now): for one more worker with a key of that team; more than 1,000 that live: OX409
--
-- Of those that are gone the last 1,000 are kept: a name that never comes back must not fill the table.

create or replace function outbox.make_room(p_team uuid, p_now timestamptz) returns void
language plpgsql
as $$
begin
  if p_team is null then
    return;
  end if;
  if (select count(*) from (select from outbox.workers w where w.team_id = p_team and w.kind = 'pull'
      and w.beat_at >= p_now - 5 * w.beat_every limit 1000) x) >= 1000 then
    perform outbox.refuse(409, 'this team has 1,000 live workers already', 'LimitReached');
  end if;
  delete from outbox.workers w where w.ctid = any (array(
    select d.ctid from outbox.workers d
    where d.team_id = p_team and d.kind = 'pull' and d.beat_at < p_now - 5 * d.beat_every
      and not exists (select from outbox.leases l where l.worker_id = d.id)
    order by d.beat_at desc offset 1000 limit 10 for update skip locked));
end
$$;
