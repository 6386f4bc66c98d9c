-- outbox.take_jobs(jobs, states) -> those of them in these states, out of where they stood; never waits
--
-- What others hold is left out, so a bulk verb cannot deadlock; a single verb has waited before, in `lock_job`.
-- A running job is still in its lease (`conclude` takes it out). `no` is the number of the ledger row to come;
-- `state` the one it had; `lane` null where its going means nothing to a lane.

create or replace function outbox.take_jobs(p_jobs uuid[], p_states text[]) returns outbox.settling[]
language plpgsql
as $$
declare
  v_items outbox.settling[] := '{}';
  v_lanes bigint[];
begin
  if 'processing' = any (p_states) then
    v_items := outbox.take_running(p_jobs);
  end if;
  v_lanes := outbox.lock_lanes(p_jobs);
  if 'queued' = any (p_states) then
    -- In this order: a keyed job that has just been deleted from `ready` looks as if it had no place yet.
    v_items := v_items || outbox.take_unplaced(p_jobs);
    v_items := v_items || outbox.take_waiting(p_jobs, v_lanes);
  end if;
  if 'failed' = any (p_states) then
    v_items := v_items || outbox.take_dead(p_jobs, v_lanes);
  end if;
  return v_items;
end
$$;
