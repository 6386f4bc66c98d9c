-- outbox.import_known(kind, ids) -> how many of them are here already, of whatever project

create or replace function outbox.import_known(p_kind text, p_ids uuid[]) returns int
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
  return (select count(*) from unnest(p_ids) i (id) where case p_kind
    when 'session' then exists (select from outbox.sessions t where t.id = i.id offset 0)
    when 'event' then exists (select from outbox.events t where t.id = i.id offset 0)
    when 'observation' then exists (select from outbox.observations t where t.id = i.id offset 0)
    when 'endpoint' then exists (select from outbox.endpoints t where t.id = i.id offset 0) end);
end
$$;
