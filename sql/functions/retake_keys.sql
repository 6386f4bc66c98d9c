-- outbox.retake_keys(jobs): jobs that come back to life hold their unique keys again; OX409 if one is taken

create or replace function outbox.retake_keys(p_jobs uuid[]) returns void
language plpgsql
as $$
declare
  v_free uuid[];
  v_job uuid;
begin
  with wanted as (
    select j.* from unnest(p_jobs) u(id)
    cross join lateral (select j.id, j.project_id, j.queue_id, j.unique_key from outbox.jobs j
      where j.id = u.id and j.unique_key is not null offset 0) j
  ), taken as (
    insert into outbox.job_keys (project_id, queue_id, key, job_id)
    select w.project_id, w.queue_id, w.unique_key, w.id from wanted w order by 1, 2, 3
    on conflict do nothing
    returning job_keys.job_id
  )
  select array_agg(w.id) into v_free from wanted w where not exists (select from taken t where t.job_id = w.id);
  if v_free is not null then
    select k.job_id into v_job from outbox.jobs j
    join outbox.job_keys k on k.project_id = j.project_id and k.queue_id = j.queue_id and k.key = j.unique_key
    where j.id = v_free[1];
    perform outbox.refuse(409, format('the unique key of job %s is held by job %s', v_free[1], v_job));
  end if;
end
$$;
