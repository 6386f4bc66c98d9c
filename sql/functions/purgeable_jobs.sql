-- outbox.purgeable_jobs(caller, project, mark, limit) -> live jobs of generation that were made until then

drop function if exists outbox.purgeable_jobs;
create function outbox.purgeable_jobs(p_caller outbox.caller, p_project uuid, p_mark timestamptz, p_limit int)
returns uuid[]
language plpgsql
as $$
begin
  return array(
    select j.job_id
    from unnest('{observe,summarize}'::text[]) h (handler)
    cross join lateral outbox.pick_jobs(p_caller, jsonb_build_object('projectId', p_project, 'handler', h.handler,
      'status', '["queued", "processing"]'::jsonb, 'until', p_mark + interval '1 ms'), '{queued,processing}', p_limit) j
    limit p_limit);
end
$$;
