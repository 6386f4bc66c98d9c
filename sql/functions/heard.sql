-- outbox.heard(worker): a sign of life of a worker that does not beat; written now and then, and never waited for
--
-- Last, after leases and lanes: whoever cancels one of its jobs comes to its row with those locked. Or by who waits
-- for nobody.

drop function if exists outbox.heard;
create function outbox.heard(p_worker uuid) returns void
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
begin
  update outbox.workers w set beat_at = v_now where w.ctid = any (array(
    select k.ctid from outbox.workers k
    where k.id = p_worker and not k.beats and k.beat_at <= v_now - k.beat_every / 12
    for update skip locked));
end
$$;
