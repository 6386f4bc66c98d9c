-- outbox.may_mint(key, scopes) -> may that key mint one with those scopes? Null: no key, who may all
--
-- What `*` opens grows with releases, so nothing narrower mints it.

create or replace function outbox.may_mint(p_key uuid, p_scopes text[]) returns boolean
language sql stable
as $$
  select p_key is null or exists (
    select from outbox.keys k
    where k.id = p_key and (not '*' = any (p_scopes) or '*' = any (k.scopes))
      and outbox.effective_scopes(p_scopes) <@ case
        when outbox.mints_readers(k.scopes) then outbox.effective_scopes('{memories:read}')
        else outbox.effective_scopes(k.scopes) end)
$$;
