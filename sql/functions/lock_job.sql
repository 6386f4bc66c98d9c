-- outbox.lock_job(job, open) -> its state (as job_state), which nobody can change before this transaction ends
--
-- Looks, locks what the job stands in, and looks again. If it moved meanwhile, what was locked in vain is given
-- back (the subtransaction), so that no lock is ever held while one of an earlier order is waited for; after
-- three looks OX503. open: the lane of a dead letter or a cancelled job is opened if it is gone, for one that is
-- to return to it. Ended jobs have no row to lock; only a retry brings them back, and the ledger's key admits
-- one of two.

drop function if exists outbox.lock_job;
create function outbox.lock_job(p_job outbox.jobs, p_open boolean default false) returns record
language plpgsql
as $$
declare
  v_seen record;
  v_now record;
begin
  for v_look in 1 .. 3 loop
    select * into v_seen from outbox.job_state(p_job.id);
    begin
      perform outbox.lock_place(p_job, v_seen.state, v_seen.place, v_seen.lease_id, p_open);
      select * into v_now from outbox.job_state(p_job.id);
      if (v_now.state, v_now.place, v_now.no) = (v_seen.state, v_seen.place, v_seen.no) then
        return v_now;
      end if;
      raise exception using errcode = 'OXMVD';
    exception
      when sqlstate 'OXMVD' then null;
    end;
  end loop;
  perform outbox.refuse(503, 'the job keeps moving: try again');
end
$$;
