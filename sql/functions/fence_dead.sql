-- outbox.fence_dead(): declares workers dead
--
-- Dead: no beat for 5 beats; or, on the server incarnation on which its liveness lock was taken, that lock is
-- gone and no beat for 1 1/3. After a restart of the server every lock is gone and says nothing. The lock is
-- read in pg_locks, never tried. A worker that beats meanwhile is skipped or, re-read, found alive.

create or replace function outbox.fence_dead() returns void
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
  v_here text := outbox.incarnation();
begin
  if not exists (select from outbox.workers w where w.beats and w.fenced_at is null
      and w.beat_at < v_now - w.beat_every * 4 / 3) then
    return;
  end if;
  update outbox.workers w set fenced_at = v_now
  where w.ctid = any (array(
    select d.ctid from outbox.workers d
    where d.beats and d.fenced_at is null and d.beat_at < v_now - d.beat_every * 4 / 3
    for update skip locked))
    and (w.beat_at < v_now - w.beat_every * 5
      or (w.incarnation = v_here and not exists (
        select from pg_locks k where k.locktype = 'advisory' and k.classid = 28514 and k.objid = w.lock_no
          and k.objsubid = 2 and k.granted
          and k.database = (select d.oid from pg_database d where d.datname = current_database()))));
  delete from outbox.idle i where not exists (
    select from outbox.workers w where w.id = i.worker_id and w.fenced_at is null
      and (w.beats or w.beat_at >= v_now - 5 * w.beat_every));
end
$$;
