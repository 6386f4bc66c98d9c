-- outbox.ingest_unwind(rows, verdicts, refused units) -> the verdicts, refused units' keys given back
--
-- A refused unit must leave nothing: the keys it took in this call go, and a row of another unit that had
-- collapsed onto one of its events gets status 0, to be run again alone.

create or replace function outbox.ingest_unwind(
  p_rows outbox.incoming[], p_verdicts outbox.verdict[], p_refused int[]
) returns outbox.verdict[]
language plpgsql
as $$
declare
  v_ghosts uuid[] := array(select r.id from unnest(p_rows) r where r.unit = any (p_refused));
begin
  if cardinality(v_ghosts) = 0 then
    return p_verdicts;
  end if;
  delete from outbox.event_keys e using unnest(p_rows) r
  where r.unit = any (p_refused) and r.event_key is not null
    and e.project_id = r.project_id and e.key = r.event_key and e.event_id = any (v_ghosts);
  return array(
    select case when v.duplicate and v.event_id = any (v_ghosts) and not v.unit = any (p_refused)
      then row(v.ord, v.unit, 0, null, false, false, null, null)::outbox.verdict else v end
    from unnest(p_verdicts) v);
end
$$;
