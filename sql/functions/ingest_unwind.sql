-- outbox.ingest_unwind(rows, verdicts) -> the verdicts, once a unit of this call is refused
--
-- A refused unit leaves nothing: the keys it took go. A unit of which a row had met such a key, as its duplicate
-- or in conflict with it, met what never was: all its rows get status 0, nothing of it is stored, its keys go
-- too, and it is to be run again alone. Units are judged in order, since a key is held by the first that names it.

drop function if exists outbox.ingest_unwind;
create function outbox.ingest_unwind(p_rows outbox.incoming[], p_verdicts outbox.verdict[])
returns outbox.verdict[]
language plpgsql
as $$
declare
  v_unit int;
  v_refused int[] := '{}';
  v_again int[] := '{}';
  v_ghosts uuid[] := '{}';
begin
  for v_unit in select r.unit from unnest(p_rows) r group by r.unit order by min(r.ord) loop
    if exists (select from unnest(p_verdicts) v where v.unit = v_unit and v.event_id = any (v_ghosts)) then
      v_again := v_again || v_unit;
    elsif exists (select from unnest(p_verdicts) v where v.unit = v_unit and v.status >= 400) then
      v_refused := v_refused || v_unit;
    else
      continue;
    end if;
    v_ghosts := v_ghosts || array(select r.id from unnest(p_rows) r where r.unit = v_unit);
  end loop;
  delete from outbox.event_keys e using unnest(p_rows) r
  where r.id = any (v_ghosts) and r.event_key is not null
    and e.project_id = r.project_id and e.key = r.event_key and e.event_id = r.id;
  return array(select v from unnest(p_verdicts) v where not v.unit = any (v_again)) || array(
    select row(r.ord, r.unit, 0, null, false, false, null, null)::outbox.verdict
    from unnest(p_rows) r where r.unit = any (v_again));
end
$$;
