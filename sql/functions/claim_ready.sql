-- outbox.claim_ready(spots, limit, now) -> unkeyed rows taken out of `ready`
--
-- `ctid = any (array (… for update skip locked))` is a TID scan whatever the statistics say; the usual join
-- falls to a hash join over the whole table when the plan is generic. The spot's run_at is where to start:
-- not to wade through rows that are dead but kept by somebody's old snapshot.

create or replace function outbox.claim_ready(p_spots outbox.spot[], p_limit int, p_now timestamptz)
returns outbox.ready[]
language plpgsql
as $$
declare
  v_taken outbox.ready[];
begin
  with taken as (
    delete from outbox.ready d where d.ctid = any (array(
      select r.ctid
      from unnest(p_spots) s
      cross join lateral (
        select q.ctid from outbox.ready q
        where q.queue_id = s.queue_id and q.lane = s.lane
          and (q.priority, q.run_at) >= (s.priority, s.run_at) and q.run_at <= p_now
        order by q.priority, q.run_at, q.job_id
        limit s.want for update skip locked) r
      where s.lane > 0
      limit p_limit))
    returning d.*
  )
  select array_agg(t::outbox.ready) into v_taken from taken t;
  return coalesce(v_taken, '{}');
end
$$;
