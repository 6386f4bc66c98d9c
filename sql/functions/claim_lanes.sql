-- outbox.claim_lanes(spots, limit, now, projects) -> the heads of due lanes, taken out of `ready`; their lanes stay
-- locked
--
-- Oldest due first. The heads are read in a second statement: its snapshot is younger than the lock, or a row
-- committed just before would be missed. Whoever touches a keyed job locks its lane first, so a head is there to
-- be taken; a lane found empty is closed.

drop function if exists outbox.claim_lanes;
create function outbox.claim_lanes(
  p_spots outbox.spot[], p_limit int, p_now timestamptz, p_projects uuid[] default null
) returns outbox.ready[]
language plpgsql
as $$
declare
  v_lanes bigint[];
  v_taken outbox.ready[];
begin
  if p_limit <= 0 or not exists (select from unnest(p_spots) s where s.lane = 0) then
    return '{}';
  end if;
  v_lanes := case when p_projects is not null then outbox.lanes_within(p_spots, p_projects, p_limit, p_now)
  else array(
    select l.id
    from unnest(p_spots) s
    cross join lateral (
      select k.id from outbox.lanes k
      where k.queue_id = s.queue_id and k.lease_id is null and k.blocked_by is null and k.due_at <= p_now
        and not k.project_id = any (outbox.paused_shares(s.queue_id, p_now))
      order by k.due_at limit s.want for update skip locked) l
    where s.lane = 0
    limit p_limit) end;
  with taken as (
    delete from outbox.ready d where d.ctid = any (array(
      select h.ctid
      from unnest(v_lanes) i(id)
      cross join lateral (select l.queue_id from outbox.lanes l where l.id = i.id offset 0) l
      cross join lateral (
        select r.ctid from outbox.ready r where r.queue_id = l.queue_id and r.lane = i.id
        order by r.priority, r.run_at, r.job_id limit 1) h))
    returning d.*
  )
  select array_agg(t::outbox.ready) into v_taken from taken t;
  delete from outbox.lanes l where l.id = any (v_lanes)
    and not l.id = any (array(select t.lane from unnest(v_taken) t));
  return coalesce(v_taken, '{}');
end
$$;
