-- outbox.retain_events(project, before, limit) -> how many of its events that are older were looked at, and blanked
--
-- Where it stopped is remembered, so that what is blank is not read again.

drop function if exists outbox.retain_events;
create function outbox.retain_events(p_project uuid, p_before timestamptz, p_limit int) returns int
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_upto uuid;
  v_seen uuid[];
begin
  insert into outbox.retained values (p_project, '00000000-0000-0000-0000-000000000000') on conflict do nothing;
  select r.upto into v_upto from outbox.retained r where r.project_id = p_project for update skip locked;
  v_seen := array(select e.id from outbox.events e
    where e.project_id = p_project and e.id > v_upto and e.id < outbox.uuid7_floor(p_before) order by e.id limit p_limit);
  if coalesce(cardinality(v_seen), 0) = 0 then
    return 0;
  end if;
  perform outbox.blank_events(v_seen, false, outbox.clock());
  update outbox.retained r set upto = v_seen[cardinality(v_seen)] where r.project_id = p_project;
  return cardinality(v_seen);
end
$$;
