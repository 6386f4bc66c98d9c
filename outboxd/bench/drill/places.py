"""C1, as one query: a job stands in exactly one place, and its lane knows of it.

It reads everything in one snapshot, so it may run while others work; nothing comes back when all is well.
"""

C1 = """
with places as (
  select r.job_id, 'ready' as place, r.lane, r.no, r.no as last_no from outbox.ready r
  union all
  select w.job_id, 'later', w.lane, w.no, w.no from outbox.later w
  union all
  select m.job, 'leases', m.lane, m.no, m.no - 1 from outbox.leases l
  cross join lateral unnest(l.job_ids, l.lanes, l.nos) m(job, lane, no)
  union all
  select d.job_id, 'dead_letters', null, d.no, d.no from outbox.dead_letters d
), ledger as (
  select distinct on (a.job_id) a.job_id, a.no, a.outcome from outbox.attempts a order by a.job_id, a.no desc
), unnumbered as (
  select unnest(p.jobs) as job_id from outbox.pending p
  union
  select unnest(f.jobs) from outbox.unplaced u
  join outbox.feed f on f.project_id = u.project_id and f.seq between u.first_seq and u.last_seq
)
select 'in several places: ' || string_agg(p.place, ', ' order by p.place) as problem, p.job_id
from places p group by p.job_id having count(*) > 1
union all
select 'in ' || p.place || ' without a body', p.job_id
from places p where not exists (select from outbox.jobs j where j.id = p.job_id)
union all
select 'lost: in no place, and neither ended nor waiting for its number', j.id
from outbox.jobs j left join ledger a on a.job_id = j.id
where not exists (select from places p where p.job_id = j.id)
  and coalesce(a.outcome not in ('completed', 'cancelled', 'purged'), true)
  and not (j.ordering_key is not null and a.job_id is null
    and exists (select from unnumbered u where u.job_id = j.id))
union all
select 'ended as ' || a.outcome || ' and still in ' || p.place, p.job_id
from places p join ledger a on a.job_id = p.job_id
where a.outcome in ('completed', 'cancelled', 'purged')
union all
select 'number ' || p.last_no || ' in ' || p.place || ', ' || coalesce(a.no, 0) || ' in the ledger', p.job_id
from places p left join ledger a on a.job_id = p.job_id
where coalesce(a.no, 0) <> p.last_no
union all
select 'has a place in a lane and still waits for one', p.job_id
from places p join unnumbered u on u.job_id = p.job_id
where p.no = 0
union all
select 'in lane ' || p.lane || ', which is not there', p.job_id
from places p
where p.lane < 0 and not exists (select from outbox.lanes l where l.id = p.lane)
union all
select 'lane ' || l.id || ' waits for nothing', null
from outbox.lanes l
where l.lease_id is null and l.blocked_by is null
  and not exists (select from outbox.ready r where r.queue_id = l.queue_id and r.lane = l.id)
union all
select 'lane ' || l.id || ' in the hand of a lease that does not hold its job', l.job_id
from outbox.lanes l
where l.lease_id is not null and not exists (
  select from outbox.leases s where s.id = l.lease_id and l.job_id = any (s.job_ids) and l.id = any (s.lanes))
union all
select 'leased, and lane ' || p.lane || ' does not say so', p.job_id
from places p join outbox.lanes l on l.id = p.lane
where p.place = 'leases' and l.job_id is distinct from p.job_id
union all
select 'lane ' || l.id || ' blocked by what is not dead', l.blocked_by
from outbox.lanes l
where l.blocked_by is not null
  and not exists (select from outbox.dead_letters d where d.job_id = l.blocked_by)
union all
select 'the unique key of a job that has ended', k.job_id
from outbox.job_keys k
where not exists (select from places p where p.job_id = k.job_id and p.place <> 'dead_letters')
union all
select 'a gathering of a job that has ended', g.job_id
from outbox.gatherings g
where not exists (select from places p where p.job_id = g.job_id and p.place <> 'dead_letters')
union all
select 'a lease with nothing in it', l.id from outbox.leases l where cardinality(l.job_ids) = 0
"""
