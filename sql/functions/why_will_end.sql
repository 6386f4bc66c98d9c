-- outbox.why_will_end(job) -> (weight, reason, detail, until): what the claim will find instead of running it

drop function if exists outbox.why_will_end;
create function outbox.why_will_end(p_job outbox.jobs)
returns table (weight numeric, reason text, detail text, until timestamptz)
language plpgsql stable
as $$
declare
  v_now timestamptz := outbox.clock();
  v_key uuid := coalesce(
    (select a.key_id from outbox.attempts a where a.job_id = p_job.id and a.outcome = 'retried' order by a.no desc limit 1),
    p_job.key_id, (select e.key_id from outbox.events e where e.id = p_job.event_id));
begin
  return query
  select 10.5, 'will_end', x.detail, null::timestamptz
  from (values
    (p_job.expires_at <= v_now, 'expired at ' || p_job.expires_at || ': cancelled at the claim, class expired'),
    (coalesce(p_job.deadline, outbox.uuid7_time(p_job.id) + outbox.hold()) <= v_now, 'past its deadline '
      || coalesce(p_job.deadline, outbox.uuid7_time(p_job.id) + outbox.hold()) || ': failed at the claim, class deadline'),
    (exists (select from outbox.projects p where p.id = p_job.project_id and p.archived_at is not null),
      'its project is archived: it takes no new work'),
    (exists (select from outbox.keys k where k.id = v_key and (k.revoked_at is not null or k.expires_at <= v_now)),
      'its key was revoked or expired: generation ends it, other handlers run it')) x(applies, detail)
  where x.applies;
end
$$;
