-- outbox.weigh(caller, queue, project, weight): what the project gets of the queue, 1 to 100; operators only

drop function if exists outbox.weigh;
create function outbox.weigh(p_caller outbox.caller, p_queue text, p_project uuid, p_weight int) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_project outbox.projects;
  v_queue outbox.queues;
  v_old int;
begin
  perform outbox.need_operator(v_caller);
  v_queue := outbox.find_queue(p_queue);
  v_project := outbox.find_project(v_caller, p_project);
  if p_weight is null or p_weight not between 1 and 100 then
    perform outbox.refuse(400, 'p_weight: 1 to 100');
  end if;
  select s.weight into v_old from outbox.shares s where s.queue_id = v_queue.id and s.project_id = p_project;
  insert into outbox.shares as s (queue_id, project_id, weight) values (v_queue.id, p_project, p_weight)
  on conflict (queue_id, project_id) do update set weight = p_weight;
  perform outbox.audit(v_caller, 'queue.weighed', 'queue', p_queue, v_project.team_id, p_project,
    jsonb_build_object('old', coalesce(v_old, 1), 'new', p_weight));
end
$$;
