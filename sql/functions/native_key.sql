-- outbox.native_key(row) -> the event key of a source's own id, null without one (ingest.md §6)
--
-- 'agent_event:v1:' || SHA-256 of the canonical JSON [team, project, adapter, platform?, sourceEventId].

create or replace function outbox.native_key(p_row outbox.incoming) returns text
language plpgsql stable
as $$
declare
  v_parts text[];
begin
  if p_row.source_event_id is null then
    return null;
  end if;
  select array_agg(to_json(x)::text order by n) into v_parts
  from outbox.projects p, unnest(array[p.team_id::text, p.id::text, p_row.adapter, p_row.platform_source,
    p_row.source_event_id]) with ordinality u(x, n)
  where p.id = p_row.project_id and x is not null;
  return 'agent_event:v1:' || encode(sha256(convert_to('[' || array_to_string(v_parts, ',') || ']', 'UTF8')), 'hex');
end
$$;
