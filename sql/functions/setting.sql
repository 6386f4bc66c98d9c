-- outbox.setting(name, fallback) -> what the daemon wrote at boot, or the fallback

create or replace function outbox.setting(p_name text, p_fallback text) returns text
language sql stable
as $$
  select coalesce((select s.value from outbox.settings s where s.name = p_name), p_fallback)
$$;
