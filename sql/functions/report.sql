-- outbox.report(worker, lease, job, progress, checkpoint): what a running job tells, kept until it ends
--
-- progress {percent 0..100, note ≤ 200}; checkpoint JSON ≤ 64 KiB, handed to the next attempt. Null leaves what
-- was said before. OX409: the lease is over; OX413: too large.

drop function if exists outbox.report;
create function outbox.report(
  p_worker uuid, p_lease uuid, p_job uuid, p_progress jsonb default null, p_checkpoint jsonb default null
) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off
as $$
begin
  if session_user <> current_user then
    p_worker := outbox.mine(p_worker);
  end if;
  if octet_length(p_checkpoint::text) > 65536 then
    perform outbox.refuse(413, 'p_checkpoint: at most 64 KiB');
  end if;
  if p_progress is not null and (jsonb_typeof(p_progress) <> 'object'
      or coalesce(jsonb_typeof(p_progress -> 'percent'), 'number') <> 'number'
      or case when jsonb_typeof(p_progress -> 'percent') = 'number'
        then (p_progress ->> 'percent')::numeric not between 0 and 100 else false end
      or char_length(p_progress ->> 'note') > 200) then
    perform outbox.refuse(400, 'p_progress: {percent 0..100, note of at most 200 characters}');
  end if;
  if not outbox.fence(p_worker, p_lease, p_job) then
    perform outbox.refuse(409, 'the lease is over', 'LeaseLost');
  end if;
  insert into outbox.checkpoints as c (job_id, progress, checkpoint, at)
  values (p_job, p_progress, p_checkpoint, outbox.clock())
  on conflict (job_id) do update set progress = coalesce(excluded.progress, c.progress),
    checkpoint = coalesce(excluded.checkpoint, c.checkpoint), at = excluded.at;
  perform outbox.heard(p_worker);
end
$$;
