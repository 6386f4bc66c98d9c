-- outbox.drain_outboxevents(limit) -> (n, status, project_id, jobs): rows of `outboxevent` become events, in order of n
--
-- One at a time: whoever comes while another is at it gets nothing. A row that became an event is gone, in the same
-- transaction; one that may not stays with `refused_at` and the reason and blocks nobody. status: 201, a refusal
-- 4xx, or 0: it is left for the next run. To try a refused row again, set its refused_at to null.

create or replace function outbox.drain_outboxevents(p_limit int)
returns table (n bigint, status int, project_id uuid, jobs jsonb)
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := outbox.clock();
  v_taken outbox.outboxevent;
  v_rows outbox.incoming[] := '{}';
  v_ns bigint[] := '{}';
  v_refused bigint[] := '{}';
  v_reasons text[] := '{}';
  v_found jsonb;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('outbox.outboxevent', 0)) then
    return;
  end if;
  -- In a statement after the lock, so that it sees what the holder before has done.
  for v_taken in
    select o.* from outbox.outboxevent o where o.refused_at is null order by o.n limit p_limit for update
  loop
    begin
      v_rows := v_rows || outbox.incoming_of_outboxevent(v_taken, cardinality(v_rows), v_now);
      v_ns := v_ns || v_taken.n;
    exception
      when others then
        if sqlstate !~ '^(OX4|22|42704)' then
          raise;
        end if;
        v_refused := v_refused || v_taken.n;
        v_reasons := v_reasons || sqlerrm;
    end;
  end loop;
  v_found := outbox.ingest_apart(v_rows);
  delete from outbox.outboxevent o
  where o.n = any (array(select v_ns[f.at] from jsonb_array_elements(v_found) with ordinality f (said, at)
    where f.said ->> 'status' = '201'));
  update outbox.outboxevent o set refused_at = v_now, refused_reason = r.reason
  from (
    select * from unnest(v_refused, v_reasons) u (n, reason)
    union all
    select v_ns[f.at], f.said ->> 'error' from jsonb_array_elements(v_found) with ordinality f (said, at)
    where (f.said ->> 'status')::int >= 400
  ) r
  where o.n = r.n;
  return query
  select u.n, 400, null::uuid, '[]'::jsonb from unnest(v_refused) u (n)
  union all
  select v_ns[f.at], (f.said ->> 'status')::int, v_rows[f.at].project_id, coalesce(f.said -> 'jobs', '[]')
  from jsonb_array_elements(v_found) with ordinality f (said, at)
  order by 1;
end
$$;
