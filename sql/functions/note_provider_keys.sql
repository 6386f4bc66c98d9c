-- outbox.note_provider_keys(providers, prints, default) -> the providers whose key is another one than before
--
-- Said at boot; a print is of the key, and never the key. What a changed key was held for may be over: its hold ends, and
-- workers are woken. `default` is the provider whose hold closes the queues of generation, null where another stands in.

drop function if exists outbox.note_provider_keys;
create function outbox.note_provider_keys(p_providers text[], p_prints text[], p_default text) returns setof text
language plpgsql
as $$
declare
  v_changed text[];
begin
  with written as (
    insert into outbox.settings as s (name, value)
    select 'provider_key:' || g.provider, g.print from unnest(p_providers, p_prints) g (provider, print) order by 1
    on conflict (name) do update set value = excluded.value where s.value <> excluded.value
    returning s.name
  )
  select array_agg(split_part(w.name, ':', 2) order by w.name) into v_changed from written w
  join outbox.provider_holds h on h.provider = split_part(w.name, ':', 2) and h.until is not null;
  for v_n in 1 .. coalesce(cardinality(v_changed), 0) loop
    perform outbox.provider_answered(v_changed[v_n], v_changed[v_n] = coalesce(p_default, ''));
    perform outbox.wake_queues(array(select q.id from outbox.queues q where q.handler in ('observe', 'summarize')));
    return next v_changed[v_n];
  end loop;
end
$$;
