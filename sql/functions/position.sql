-- outbox.position(project) -> where the project's feed stands, as this snapshot sees it: '<epoch>-<number>'
--
-- Read it in one REPEATABLE READ transaction with rows of your own, and subscribe from it: everything up to the
-- position is in what you read; what follows may be in it already, and nothing is missing. The project is resolved
-- as in `publish`.

drop function if exists outbox.position;
create function outbox.position(p_project uuid default null) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_project uuid := outbox.producer_project(p_project);
  v_position text;
begin
  select s.epoch || '-' || s.head into v_position from outbox.streams s where s.project_id = v_project;
  if v_position is null then
    perform outbox.refuse(404, 'Project not found');
  end if;
  return v_position;
end
$$;
