-- outbox.why_room(queue) -> (weight, reason, detail, until): its exact limits have no room

drop function if exists outbox.why_room;
create function outbox.why_room(p_queue outbox.queues)
returns table (weight numeric, reason text, detail text, until timestamptz)
language plpgsql stable
as $$
declare
  v_now timestamptz := outbox.clock();
begin
  return query
  select 8.0, 'no_slot', format('%s of %s run, on %s', h.n, h.most, h.holders)
    || case when p_queue.probing then ', which tries the target' else '' end, null::timestamptz
  from (select sum(cardinality(l.job_ids)) as n,
      string_agg(distinct coalesce(w.name, l.worker_id::text), ', ') as holders,
      case when p_queue.probing then 1 else p_queue.concurrency end as most
    from outbox.leases l left join outbox.workers w on w.id = l.worker_id
    where l.queue_id = p_queue.id) h
  where p_queue.concurrency is not null and h.n >= h.most
  union all
  select 9.0, 'no_token', format('%s a second, burst %s; the next at %s', p_queue.rate_per_second,
    p_queue.rate_burst, n.at), n.at
  from outbox.gates g
  cross join lateral (select v_now + make_interval(secs =>
    (1 - outbox.tokens(p_queue, g, v_now)) / p_queue.rate_per_second::float8) as at) n
  where g.queue_id = p_queue.id and outbox.tokens(p_queue, g, v_now) < 1;
end
$$;
