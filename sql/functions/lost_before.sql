-- outbox.lost_before(job, no) -> was the execution before that one lost too?

create or replace function outbox.lost_before(p_job uuid, p_no int) returns boolean
language sql stable
as $$
  select exists (select from outbox.attempts a
    where a.job_id = p_job and a.no = p_no - 1 and a.outcome = 'lost')
$$;
