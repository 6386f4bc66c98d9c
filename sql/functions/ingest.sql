-- outbox.ingest(rows, again) -> a verdict per row, with the jobs it made
--
-- The one core under every door. A foreseeable refusal is a verdict: nothing of a refused unit is stored and
-- its neighbours do not notice. `own`: refused for what it is itself, not for its unit. Status 0: a key of its unit
-- belongs to one that was refused in this call; nothing of the unit is stored, run it again. Anything unforeseen
-- raises, and the caller isolates it. `again`: these ids may have been stored by a call whose COMMIT answer was
-- lost; those that exist are answered as stored, not as duplicates.
-- `deferred`: `place` gathers it for a job of generation. session_id: that it was linked to. `ord` counts from 0.
-- Only inserts: no lock that another producer could wait on, except that of an equal event key.

drop function if exists outbox.ingest;
create function outbox.ingest(p_rows outbox.incoming[], p_again boolean default false)
returns table (ord int, unit int, status int, event_id uuid, duplicate boolean, differs boolean,
  error text, code text, own boolean, received_at timestamptz, jobs jsonb, session_id uuid, deferred boolean)
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := outbox.clock();
  v_verdicts outbox.verdict[] := coalesce(outbox.ingest_refuse(p_rows, v_now), '{}');
  v_refused int[] := array(select distinct v.unit from unnest(v_verdicts) v);
  v_new outbox.incoming[] := p_rows;
  v_made jsonb := '{}';
  v_sessions uuid[];
  v_policies text[];
begin
  if p_again then
    v_verdicts := v_verdicts || array(
      select row(r.ord, r.unit, 201, r.id, false, false, null, null)::outbox.verdict
      from unnest(p_rows) r cross join lateral (select from outbox.events e where e.id = r.id offset 0) e);
  end if;
  if exists (select from unnest(p_rows) r where r.event_key is not null) then
    v_verdicts := v_verdicts || outbox.ingest_keys(p_rows, v_refused, v_now);
    if exists (select from unnest(v_verdicts) v where v.status >= 400) then
      v_verdicts := outbox.ingest_unwind(p_rows, v_verdicts);
    end if;
    v_refused := array(select distinct v.unit from unnest(v_verdicts) v where v.status >= 400);
  end if;
  if cardinality(v_verdicts) > 0 then
    v_new := array(select r from unnest(p_rows) r
      where not r.unit = any (v_refused) and not exists (select from unnest(v_verdicts) v where v.ord = r.ord)
      order by r.ord);
  end if;

  if cardinality(v_new) > 0 then
    v_sessions := outbox.ingest_sessions(p_rows);
    v_policies := outbox.ingest_policies(p_rows);
    perform outbox.ingest_events(v_new, v_sessions, v_now);
    with made as materialized (
      select * from outbox.ingest_jobs(v_new, v_policies, v_sessions, v_now)
    ), pending as (
      insert into outbox.pending (project_id, event_id, at, bytes, type, jobs, gather)
      select r.project_id, r.id, v_now, pg_column_size(r.payload), r.type, m.keyed,
        coalesce(v_policies[r.ord + 1] <> 'per-event', false)
      from unnest(v_new) r left join made m on m.ord = r.ord order by r.ord
    )
    select coalesce(jsonb_object_agg(m.ord, m.jobs), '{}') into v_made from made m;
  end if;

  return query
  select r.ord, r.unit, coalesce(v.status, u.status, 201),
    coalesce(v.event_id, case when coalesce(v.status, u.status) is null then r.id end),
    coalesce(v.duplicate, false), coalesce(v.differs, false), coalesce(v.error, u.error), coalesce(v.code, u.code),
    u.status is null, v_now, coalesce(v_made -> r.ord::text, '[]'),
    v_sessions[r.ord + 1], v.event_id is null and coalesce(v_policies[r.ord + 1] <> 'per-event', false)
  from unnest(p_rows) r
  left join unnest(v_verdicts) v on v.ord = r.ord and (v.status >= 400 or not r.unit = any (v_refused))
  left join (select distinct on (x.unit) x.* from unnest(v_verdicts) x where x.status >= 400
    order by x.unit, x.ord) u on u.unit = r.unit and v.ord is null
  order by r.ord;
end
$$;
