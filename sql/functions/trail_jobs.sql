-- outbox.trail_jobs(projects, from, to) -> jobs to which something may have happened in that time
--
-- Of a project with few jobs all of them; of one with many those that were made then, and those of which the ledger or a
-- lease says something, however old they are: a partition that is old is there because something in it lives.

create or replace function outbox.trail_jobs(p_projects uuid[], p_from timestamptz, p_to timestamptz) returns setof uuid
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_few constant int := 5000;
  v_jobs uuid[];
begin
  v_jobs := array(
    select j.id from unnest(p_projects) p (id) cross join lateral (select j.id from outbox.jobs j
      where j.project_id = p.id and j.id < outbox.uuid7_floor(p_to) limit v_few offset 0) j
    limit v_few);
  if cardinality(v_jobs) < v_few then
    return query select unnest(v_jobs);
    return;
  end if;
  return query
  select j.id from unnest(p_projects) p (id) cross join lateral (select j.id from outbox.jobs j
    where j.project_id = p.id and j.id >= outbox.uuid7_floor(p_from) and j.id < outbox.uuid7_floor(p_to) offset 0) j
  union
  select j.id from (
    select a.job_id as id from outbox.attempts a where a.at >= p_from and a.at < p_to
    union select a.job_id from outbox.attempts a
      where a.at >= p_from and a.at < p_to + interval '1 hour' and a.started_at >= p_from and a.started_at < p_to
    union select unnest(l.job_ids) from outbox.leases l where l.claimed_at >= p_from and l.claimed_at < p_to) s
  cross join lateral (select j.id from outbox.jobs j where j.id = s.id and j.project_id = any (p_projects) offset 0) j;
end
$$;
