-- A worker of a pull queue in plain psql: works until nothing is due, then ends. Run it as often as you like.
--
--   psql "$DSN" -X -v queue=mail -f worker.sql
--
-- The login needs the role outbox_worker (`grant outbox_worker to …`) and gets the jobs of the projects to which its
-- roles are bound in `producers`, or of all when they are bound to none. No beats: what is not settled within a
-- minute is taken back. This script keeps the queue's name in its session: through a pooler in transaction mode write it
-- into the text.
\set ON_ERROR_STOP on
\set QUIET on

select set_config('worker.queue', :'queue', false) \g /dev/null

do $$
declare
  v_worker uuid;
  v_job outbox.claimed;
  v_result jsonb;
begin
  v_worker := (select worker_id from outbox.enlist('psql', array['pull:' || current_setting('worker.queue')], null,
    '{"liveness": "lease", "leaseSeconds": 60}'));
  commit;
  loop
    select * into v_job from outbox.claim(v_worker, 1);
    exit when v_job.job_id is null;
    -- The lease exists for others only now.
    commit;
    if v_job.payload is null then
      v_job.payload := outbox.payload(v_worker, v_job.lease_id, v_job.job_id);
    end if;
    begin
      -- Yours. What it writes, and the end of the job, are one transaction.
      if (v_job.payload ->> 'fail')::boolean then
        raise 'the payload says so';
      end if;
      v_result := jsonb_build_object('outcome', 'completed',
        'output', jsonb_build_object('doneBy', 'worker.sql', 'n', v_job.payload -> 'n'));
    exception
      when others then
        v_result := jsonb_build_object('outcome', 'failed', 'class', sqlstate, 'error', sqlerrm, 'final', true);
    end;
    -- Not accepted: the lease was lost, and what was written must not stay.
    if not (select s.accepted from outbox.settle(v_worker, jsonb_build_array(
        v_result || jsonb_build_object('lease', v_job.lease_id, 'job', v_job.job_id, 'ms', 0))) s) then
      rollback;
    end if;
    commit;
  end loop;
  perform outbox.retire(v_worker);
end
$$;
