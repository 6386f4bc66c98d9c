-- outbox.claim_job_key(job) -> the job that holds the unique key: this one, or the living one
--
-- If the holder ends between the conflict and the look, the insert is tried again: never an empty answer.

create or replace function outbox.claim_job_key(p_job outbox.jobs) returns uuid
language plpgsql
as $$
declare
  v_holder uuid;
begin
  for v_try in 1 .. 3 loop
    insert into outbox.job_keys (project_id, queue_id, key, job_id)
    values (p_job.project_id, p_job.queue_id, p_job.unique_key, p_job.id)
    on conflict do nothing
    returning job_id into v_holder;
    if v_holder is null then
      select k.job_id into v_holder from outbox.job_keys k
      where k.project_id = p_job.project_id and k.queue_id = p_job.queue_id and k.key = p_job.unique_key;
    end if;
    if v_holder is not null then
      return v_holder;
    end if;
  end loop;
  perform outbox.refuse(503, 'the holder of this unique key keeps ending: try again');
end
$$;
