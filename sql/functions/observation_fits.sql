-- outbox.observation_fits(filter, id, session, kind, platform, created_at, metadata) -> is it what the filter says?
--
-- Filter: kinds, since, until, session, platform, file, concept, ids; what is not there is not asked. The platform
-- is the session's, else its own, else that of an event it came from. A file is equal to one that was read or
-- modified, or the end of its path; a concept is equal but for case.

drop function if exists outbox.observation_fits;
create function outbox.observation_fits(
  p_filter jsonb, p_id uuid, p_session uuid, p_kind text, p_platform text, p_created_at timestamptz, p_metadata jsonb
) returns boolean
language plpgsql stable
as $$
declare
  v_platform text := p_filter ->> 'platform';
begin
  if not p_filter -> 'kinds' ? p_kind or p_created_at < (p_filter ->> 'since')::timestamptz
    or p_created_at >= (p_filter ->> 'until')::timestamptz or p_session is distinct from
      coalesce((p_filter ->> 'session')::uuid, p_session) or not p_filter -> 'ids' ? p_id::text then
    return false;
  end if;
  if p_filter ->> 'concept' is not null and not lower(p_filter ->> 'concept')
      = any (array(select lower(c.name) from unnest(outbox.texts_of(p_metadata -> 'concepts')) c (name))) then
    return false;
  end if;
  if p_filter ->> 'file' is not null and not exists (
      select from unnest(outbox.texts_of(p_metadata -> 'files_read') || outbox.texts_of(p_metadata -> 'files_modified')) f (path)
      where f.path = p_filter ->> 'file' or right(f.path, char_length(p_filter ->> 'file') + 1) = '/' || (p_filter ->> 'file')) then
    return false;
  end if;
  return v_platform is null or coalesce(v_platform = outbox.observed_on(p_id, p_session, p_platform), false);
end
$$;
