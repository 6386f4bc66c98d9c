-- outbox.place(project, limit) -> (queue, handler, n): queues of which a lane or a gathered job became due
--
-- Follows the numbering, in a transaction of its own, so that nothing it may wait for (a lane that a settling
-- handler holds) is waited for while the head is held. Takes the project's oldest numbered batch that is not
-- placed, opens its lanes in one order (queue, project, key) and gives each keyed job its place there:
-- greatest(due, last place + 1 µs), so lane order = feed order, and a job with a later due time holds those
-- behind it. `on conflict do update`, never `do nothing`: a worker that is just closing an empty lane holds
-- its row; stepping past that lock would lose the lane and strand the job. What is to be gathered comes last, since
-- that waits for nobody.

drop function if exists outbox.place;
create function outbox.place(p_project uuid, p_limit int default 500) returns table (queue text, handler text, n int)
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_batch outbox.unplaced;
  v_last bigint;
  v_jobs outbox.placeable[];
  v_due int;
begin
  perform outbox.need_read_committed();
  perform from outbox.placing c where c.project_id = p_project for update skip locked;
  if not found then
    return;
  end if;
  select * into v_batch from outbox.unplaced u where u.project_id = p_project order by u.first_seq limit 1;
  if v_batch.project_id is null then
    return;
  end if;
  v_last := least(v_batch.last_seq, v_batch.first_seq + p_limit - 1);
  v_jobs := outbox.placeable_jobs(v_batch, v_last);
  if cardinality(v_jobs) > 0 then
    return query select * from outbox.append_to_lanes(p_project, v_jobs);
    -- `expire` may have been here before the job had a place; the claim looks for what is due in `expiries`.
    insert into outbox.expiries (at, job_id)
    select least(j.expires_at, j.deadline), j.id from unnest(v_jobs) p
    cross join lateral (select j.* from outbox.jobs j where j.id = p.job_id offset 0) j
    where j.expires_at is not null or j.deadline is not null
    on conflict do nothing;
  end if;
  v_due := outbox.gather(v_batch, v_last);
  if v_due > 0 then
    return query select q.name, q.handler, v_due from outbox.queues q where q.name = 'observe';
  end if;

  delete from outbox.unplaced u where u.project_id = p_project and u.first_seq = v_batch.first_seq;
  if v_last < v_batch.last_seq then
    insert into outbox.unplaced (project_id, first_seq, last_seq, sequenced_at)
    values (p_project, v_last + 1, v_batch.last_seq, v_batch.sequenced_at);
  end if;
  update outbox.placing c set placed = v_last where c.project_id = p_project;
end
$$;
