-- Which chore has not succeeded? late: no success for three times its interval and a minute

create or replace view outbox.chore_health as
select c.chore, c.every, h.last_success_at, h.last_error_at, h.last_error,
  coalesce(h.last_success_at < (select outbox.clock()) - 3 * c.every - interval '60 s', true) as late
from (values
  ('reap', interval '1 s'), ('stage', interval '1 s'), ('tick', interval '1 s'), ('expire', interval '60 s'), ('sessions_idle', interval '60 s'),
  ('retention', interval '10 min'), ('purge', interval '10 s'),
  ('partitions_make', interval '10 min'), ('partitions_drop', interval '10 min'), ('usage', interval '10 s'),
  ('interactions', interval '30 s'), ('endpoints', interval '60 s'), ('vacuum', interval '60 s'),
  ('heal', interval '2 s'), ('debezium', interval '200 ms')
) c(chore, every)
left join outbox.chores h on h.name = c.chore
-- Where nobody wants it, it is not there: feeds are healed where streams are served.
where case c.chore
  when 'debezium' then exists (select from outbox.settings s where s.name = 'debezium_table' and s.value = 'on')
  when 'heal' then h.name is not null
  else true end;
