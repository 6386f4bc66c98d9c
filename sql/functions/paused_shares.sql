-- outbox.paused_shares(queue, now) -> the projects whose share of that queue is paused

create or replace function outbox.paused_shares(p_queue int, p_now timestamptz) returns uuid[]
language sql stable
as $$
  select array(select s.project_id from outbox.shares s
    where s.queue_id = p_queue and s.paused and (s.paused_until is null or s.paused_until > p_now))
$$;
