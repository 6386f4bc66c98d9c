-- outbox.heard(worker): a sign of life of a worker that does not beat; written now and then, and never waited for

create or replace function outbox.heard(p_worker outbox.workers) returns void
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
begin
  if p_worker.beats or p_worker.beat_at > v_now - p_worker.beat_every / 12 then
    return;
  end if;
  update outbox.workers w set beat_at = v_now where w.ctid = any (array(
    select k.ctid from outbox.workers k where k.id = p_worker.id for update skip locked));
end
$$;
