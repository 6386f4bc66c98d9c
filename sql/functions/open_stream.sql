-- outbox.open_stream(project): the rows a project's feed needs; made with the project

create or replace function outbox.open_stream(p_project uuid) returns void
language plpgsql
as $$
begin
  insert into outbox.streams (project_id, epoch, cluster, sequenced_at)
  values (p_project, left(md5(gen_random_uuid()::text), 8), outbox.cluster(), outbox.clock())
  on conflict do nothing;
  insert into outbox.placing (project_id) values (p_project) on conflict do nothing;
end
$$;
