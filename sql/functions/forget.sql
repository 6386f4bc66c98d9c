-- outbox.forget(caller, project, filter, expunge, dry_run, limit) -> (matched, deleted, expunged_events, sample)
--
-- Deletes the memories that the filter means, oldest first: that of `observation_fits`, and query (all its words).
-- An empty filter is OX400, so nothing is ever done to everything by mistake. `matched` stops at 100,000. A dry run
-- selects the same. Errors: OX404 (project), OX409 (archived).

drop function if exists outbox.forget;
create function outbox.forget(
  p_caller outbox.caller, p_project uuid, p_filter jsonb, p_expunge boolean default false,
  p_dry_run boolean default false, p_limit int default 1000
) returns table (matched int, deleted int, expunged_events int, sample uuid[])
language plpgsql
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_project outbox.projects := outbox.caller_project(v_caller, p_project);
  v_found uuid[];
  v_taken uuid[];
  v_events uuid[] := '{}';
begin
  perform outbox.need_read_committed();
  if p_filter = '{}' then
    perform outbox.refuse(400, 'filter: at least one member');
  end if;
  v_found := outbox.matching_memories(v_project, p_filter, 100000);
  v_taken := v_found[:p_limit];
  matched := cardinality(v_found);
  deleted := 0;
  expunged_events := 0;
  sample := v_taken[:20];
  if not p_dry_run then
    if p_expunge then
      v_events := outbox.sole_events(v_taken);
    end if;
    deleted := outbox.drop_observations(v_project.id, v_taken);
    if cardinality(v_events) > 0 then
      select x.events into expunged_events from outbox.expunge_events(v_caller, v_project.id, v_events) x;
    end if;
  end if;
  perform outbox.audit(v_caller, 'memories.forgotten', 'observation', null, v_project.team_id, v_project.id,
    jsonb_build_object('filter', p_filter, 'matched', matched, 'deleted', deleted, 'expungedEvents', expunged_events,
      'dryRun', p_dry_run));
  return next;
end
$$;
