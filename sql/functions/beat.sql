-- outbox.beat(worker, running) -> (alive, cancelled, db_now): I live; which of my jobs were cancelled?
--
-- alive = false: fenced or unknown. Drop everything and enlist anew; what is still settled is refused.

drop function if exists outbox.beat;
create function outbox.beat(p_worker uuid, p_running int default 0)
returns table (alive boolean, cancelled uuid[], db_now timestamptz)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := outbox.clock();
  v_told uuid[];
begin
  if session_user <> current_user then
    p_worker := outbox.mine(p_worker);
  end if;
  select w.cancelled into v_told from outbox.workers w
  where w.id = p_worker and w.fenced_at is null for update;
  if not found then
    return query select false, '{}'::uuid[], v_now;
    return;
  end if;
  update outbox.workers w set beat_at = v_now, running = p_running, cancelled = '{}' where w.id = p_worker;
  return query select true, v_told, v_now;
end
$$;
