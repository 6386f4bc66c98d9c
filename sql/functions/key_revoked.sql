-- outbox.key_revoked(key) -> was it revoked or deleted? An expired key was valid when it was used

create or replace function outbox.key_revoked(p_key uuid) returns boolean
language sql stable
as $$
  select not exists (select from outbox.keys k where k.id = p_key and k.revoked_at is null)
$$;
