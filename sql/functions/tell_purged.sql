-- outbox.tell_purged(purge): the end of a purge, for the trail and for subscribers

drop function if exists outbox.tell_purged;
create function outbox.tell_purged(p_purge outbox.purges) returns void
language plpgsql
as $$
declare
  v_counts jsonb := jsonb_build_object('observations', p_purge.observations, 'agentEvents', p_purge.agent_events,
    'sessions', p_purge.sessions, 'jobs', p_purge.jobs);
begin
  perform outbox.audit(row(p_purge.team_id, array[p_purge.project_id], false, p_purge.key_id, p_purge.actor,
    p_purge.request_id)::outbox.caller, 'project.memory_purged', 'project', p_purge.project_id::text, p_purge.team_id,
    p_purge.project_id, v_counts);
  perform outbox.announce(p_purge.project_id, 'project.purged', jsonb_build_object('counts', v_counts));
end
$$;
