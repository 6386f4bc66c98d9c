-- outbox.continue_purge(project, limit) -> its row in purges after one more batch; null: another one is at it
--
-- Jobs, observations, events, sessions, then the words of queries in the audit trail; each is begun when the one
-- before is through. The last batch tells the trail and the subscribers.

drop function if exists outbox.continue_purge;
create function outbox.continue_purge(p_project uuid, p_limit int default 5000) returns outbox.purges
language plpgsql
as $$
declare
  v_purge outbox.purges;
  v_done int;
  v_upto uuid;
begin
  perform outbox.need_read_committed();
  select * into v_purge from outbox.purges p where p.project_id = p_project for update skip locked;
  if v_purge.project_id is null or v_purge.step >= 5 then
    return v_purge;
  end if;
  select b.done, b.upto into v_done, v_upto from outbox.purge_batch(v_purge, p_limit) b;
  v_purge.jobs := v_purge.jobs + case v_purge.step when 0 then v_done else 0 end;
  v_purge.observations := v_purge.observations + case v_purge.step when 1 then v_done else 0 end;
  v_purge.agent_events := v_purge.agent_events + case v_purge.step when 2 then v_done else 0 end;
  v_purge.sessions := v_purge.sessions + case v_purge.step when 3 then v_done else 0 end;
  v_purge.step := v_purge.step + case when v_upto is null then 1 else 0 end;
  v_purge.upto := coalesce(v_upto, '00000000-0000-0000-0000-000000000000');
  update outbox.purges p set step = v_purge.step, upto = v_purge.upto, jobs = v_purge.jobs,
    observations = v_purge.observations, agent_events = v_purge.agent_events, sessions = v_purge.sessions
  where p.project_id = p_project;
  if v_purge.step = 5 then
    perform outbox.tell_purged(v_purge);
  end if;
  return v_purge;
end
$$;
