-- outbox.row_changes(old, new) -> the fields of `new` that differ from those of `old`

create or replace function outbox.row_changes(p_old jsonb, p_new jsonb) returns jsonb
language sql immutable
as $$
  select coalesce(jsonb_object_agg(n.key, n.value), '{}') from jsonb_each(p_new) n
  where n.value is distinct from p_old -> n.key
$$;
