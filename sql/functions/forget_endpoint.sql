-- outbox.forget_endpoint(end, now): a day after it was deleted its queue is open again, for whoever comes late to end there

create or replace function outbox.forget_endpoint(p_end outbox.endpoint_ends, p_now timestamptz) returns void
language plpgsql
as $$
begin
  if p_end.ended_at < p_now - interval '1 day' then
    update outbox.queues q set closed_until = null, closed_reason = null, paused = false where q.id = p_end.queue_id;
    delete from outbox.endpoint_ends e where e.queue_id = p_end.queue_id;
  end if;
end
$$;
