-- outbox.near_duplicate(project, kind, hash, simhash, now) -> the newest observation that says the same, or null
--
-- Among the last 200 generated ones of that kind within 7 days: equal hash of the normalised content, or SimHashes at most
-- 3 bits apart. No simhash (a content without three words): the hash alone counts.

create or replace function outbox.near_duplicate(
  p_project uuid, p_kind text, p_hash bytea, p_simhash bigint, p_now timestamptz
) returns uuid
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
  return (
    select r.id from (
      select o.id, o.content_hash, o.simhash, o.created_at from outbox.observations o
      join outbox.projects p on p.id = o.project_id
      where o.project_id = p_project and o.kind = p_kind and o.origin = 'generated'
        and o.created_at > greatest(p_now - interval '7 days', coalesce(p.purged_at, '-infinity'))
      order by o.created_at desc limit 200) r
    where r.content_hash = p_hash or bit_count((r.simhash # p_simhash)::bit(64)) <= 3
    order by r.created_at desc limit 1);
end
$$;
