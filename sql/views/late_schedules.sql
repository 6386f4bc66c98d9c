-- Which schedules should have fired, and did not? state: active, nobody fires them; suspended, they may not

create or replace view outbox.late_schedules as
select l.schedule_id, l.project_id, l.name, l.next_at, (select outbox.clock()) - l.next_at as late, l.state, l.reason
from (
  (select s.id as schedule_id, s.project_id, s.name, s.next_at, s.state, s.reason from outbox.schedules s
    where s.state = 'active' and s.next_at < (select outbox.clock()) - interval '5 s' order by s.next_at limit 1000)
  union all
  (select s.id, s.project_id, s.name, s.next_at, s.state, s.reason from outbox.schedules s
    where s.state = 'suspended' and s.next_at < (select outbox.clock()) - interval '5 s' order by s.next_at limit 1000)
) l
order by l.next_at limit 1000;
