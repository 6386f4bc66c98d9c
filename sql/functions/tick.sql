-- outbox.tick(schedule, tick, next, missed) -> the event of that tick, or null where none is due
--
-- In one transaction: the event, under the key `schedule:<id>:<tick>`, and its next tick; null next: none is to
-- come. Null tick: nothing is published, `missed` ticks are passed over. Whoever calls has computed both from the row,
-- which it holds. Null, and nothing done: gone, changed, fired by another. Null, and suspended: its key was
-- revoked or expired, its project archived, its event refused. OX400: next is not later than tick.

drop function if exists outbox.tick;
create function outbox.tick(p_schedule uuid, p_tick timestamptz, p_next timestamptz, p_missed int) returns uuid
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_row outbox.schedules;
  v_fault text;
  v_seen record;
  v_event uuid;
begin
  perform outbox.need_read_committed();
  select * into v_row from outbox.schedules s where s.id = p_schedule for update;
  if v_row.state is distinct from 'active' or coalesce(p_tick, v_row.next_at) < v_row.next_at
     or (coalesce(p_tick, v_row.next_at) <= outbox.clock()) is not true then
    return null;
  end if;
  if p_missed is null or p_missed < 0 or p_next <= coalesce(p_tick, v_row.next_at) then
    perform outbox.refuse(400, 'p_next: later than p_tick; p_missed: not negative');
  end if;
  v_fault := outbox.schedule_fault(v_row);
  if v_fault is null and p_tick is not null then
    select * into v_seen from outbox.ingest(array[outbox.schedule_event(v_row, p_tick, p_missed)]);
    v_fault := case when v_seen.status >= 400 then v_seen.code end;
    v_event := v_seen.event_id;
  end if;
  if v_fault is not null then
    perform outbox.suspend_schedule(v_row, v_fault);
    return null;
  end if;
  update outbox.schedules s set last_tick = coalesce(p_tick, s.last_tick), next_at = p_next,
    state = case when p_next is null then 'ended' else s.state end
  where s.id = p_schedule;
  return v_event;
end
$$;
