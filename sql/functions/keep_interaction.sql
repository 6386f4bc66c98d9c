-- outbox.keep_interaction(row) -> the one that has its id already; null: the row is stored
--
-- The insert decides: of many first asks one makes the row, the others wait for its commit and find it.

create or replace function outbox.keep_interaction(p_row outbox.interactions) returns outbox.interactions
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_old outbox.interactions;
begin
  loop
    insert into outbox.interactions as i select p_row.* on conflict (id) do nothing;
    if found then
      return null;
    end if;
    -- Older than a purge: nobody sees it any more, so nobody is told of it.
    delete from outbox.interactions i using outbox.projects p
    where i.id = p_row.id and p.id = i.project_id and i.created_at <= p.purged_at;
    select * into v_old from outbox.interactions i where i.id = p_row.id;
    if v_old.id is not null then
      return v_old;
    end if;
  end loop;
end
$$;
