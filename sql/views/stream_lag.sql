-- Is a project's feed behind? pending: events that are committed and not numbered yet, counted to 10,000

create or replace view outbox.stream_lag as
select s.project_id, s.epoch::text as epoch, s.head, s.floor, least(p.n, 10000) as pending,
  (select outbox.clock()) - p.oldest_at as oldest_pending_age, s.sequenced_at, p.n > 10000 as capped
from outbox.streams s
cross join lateral (
  select count(*) as n, min(x.at) as oldest_at
  from (select p.at from outbox.pending p where p.project_id = s.project_id order by p.id limit 10001) x) p;
