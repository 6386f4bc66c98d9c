-- outbox.partitions_end(parent) -> up to when that table has partitions; null without any, infinity if open

create or replace function outbox.partitions_end(p_parent text) returns timestamptz
language plpgsql stable
as $$
declare
  v_bound text;
  v_end timestamptz;
  v_last timestamptz;
begin
  for v_bound in
    select pg_get_expr(c.relpartbound, c.oid)
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = format('outbox.%I', p_parent)::regclass
  loop
    v_bound := substring(v_bound from 'TO \((.*)\)');
    v_end := case
      when v_bound = 'MAXVALUE' then 'infinity'
      when p_parent = 'feed' then trim(both '''' from v_bound)::timestamptz
      else outbox.uuid7_time(trim(both '''' from v_bound)::uuid) end;
    v_last := greatest(v_last, v_end);
  end loop;
  return v_last;
end
$$;
