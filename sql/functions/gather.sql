-- outbox.gather(batch, last) -> how many jobs became due by it
--
-- The events of that range of the feed which wait for a gathering: each session's into its own, those without one
-- by adapter and platform. Under end-of-session a session that is open holds its job. Its row is shared until the
-- commit, so whoever ends it sees the job; one that somebody is changing at this moment, most likely ending, counts
-- as ended: that is never wrong by more than an early job. Expunged and purged events are passed by. Waits for
-- nobody: a gathering that somebody is closing at this moment raises OX503, and the batch is placed anew.

create or replace function outbox.gather(p_batch outbox.unplaced, p_last bigint) returns int
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
  v_project outbox.projects;
  v_open uuid[] := '{}';
  v_groups outbox.gathered[];
  v_group outbox.gathered;
  v_due int := 0;
begin
  if not exists (select from outbox.feed f where f.project_id = p_batch.project_id and f.gather
      and f.seq between p_batch.first_seq and p_last and f.sequenced_at = p_batch.sequenced_at) then
    return 0;
  end if;
  select * into v_project from outbox.projects p where p.id = p_batch.project_id;
  v_groups := outbox.gathered_of(v_project, p_batch, p_last, v_now);
  if outbox.project_setting(v_project, 'generation.policy') #>> '{}' = 'end-of-session' then
    v_open := array(
      select s.id from outbox.sessions s
      where s.id = any (array(select g.session_id from unnest(v_groups) g)) and s.ended_at is null
      for share skip locked);
  end if;
  foreach v_group in array v_groups loop
    v_group.session_open := coalesce(v_group.session_id = any (v_open), false);
    v_due := v_due + outbox.join_gathering(v_group);
  end loop;
  return v_due;
end
$$;
