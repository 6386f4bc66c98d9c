-- outbox.configure_queue(caller, queue, settings) -> the queue as it is now; operators only
--
-- Settings (null: the default): concurrency, perWorker, leaseSize, rate {perSecond, burst}, attempts, backoff
-- {baseMs, capMs} or {scheduleMs}, timeoutMs, onDead; handler only where the queue is not there yet, and then
-- it is made. Unknown or out of range: OX400; no such queue: OX404; another handler: OX409. Holds from the next
-- claim on. Audited with old and new values.

drop function if exists outbox.configure_queue;
create function outbox.configure_queue(p_caller outbox.caller, p_queue text, p_settings jsonb) returns outbox.queues
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_old outbox.queues;
  v_new outbox.queues;
begin
  perform outbox.need_operator(v_caller);
  perform outbox.need_read_committed();
  perform outbox.check_settings(p_settings);
  if p_settings ? 'handler' then
    perform outbox.open_queue(p_queue, p_settings ->> 'handler');
  end if;
  v_old := outbox.find_queue(p_queue);
  select * into v_old from outbox.queues q where q.id = v_old.id for update;
  v_new := outbox.queue_settings(v_old, p_settings);
  update outbox.queues q set concurrency = v_new.concurrency, per_worker = v_new.per_worker,
    lease_size = v_new.lease_size, rate_per_second = v_new.rate_per_second, rate_burst = v_new.rate_burst,
    attempts = v_new.attempts, backoff = v_new.backoff, timeout = v_new.timeout, on_dead = v_new.on_dead
  where q.id = v_old.id;
  perform outbox.set_gate(v_old, v_new);
  perform outbox.wake_queues(array[v_old.id]);
  perform outbox.audit(v_caller, 'queue.configured', 'queue', p_queue, null, null, jsonb_build_object(
    'old', outbox.row_changes(to_jsonb(v_new), to_jsonb(v_old)),
    'new', outbox.row_changes(to_jsonb(v_old), to_jsonb(v_new))));
  return v_new;
exception
  when data_exception or check_violation then
    perform outbox.refuse(400, 'p_settings: ' || sqlerrm);
end
$$;
