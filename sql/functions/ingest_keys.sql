-- outbox.ingest_keys(rows, refused units) -> a verdict for every row whose event key was taken
--
-- The first holder of a key wins; two open transactions with one key wait here, and nowhere else. Keys are
-- inserted in one order, (project, key), so that groups with {A,B} and {B,A} cannot wait for each other.
-- What the key says is read in the statement after the insert: only that snapshot is younger than the wait.

create or replace function outbox.ingest_keys(p_rows outbox.incoming[], p_refused int[], p_now timestamptz)
returns outbox.verdict[]
language plpgsql
as $$
declare
  v_days interval := make_interval(days => outbox.setting('event_key_days', '30')::int);
  v_taken outbox.verdict[];
begin
  insert into outbox.event_keys as e (project_id, key, event_id, fingerprint, expires_at)
  select distinct on (r.project_id, r.event_key collate "C") r.project_id, r.event_key, r.id,
    outbox.fingerprint(r.type, r.subject, r.payload), p_now + v_days
  from unnest(p_rows) r
  where r.event_key is not null and not r.unit = any (p_refused)
  order by r.project_id, r.event_key collate "C", r.ord
  on conflict (project_id, key) do update
    set event_id = excluded.event_id, fingerprint = excluded.fingerprint, expires_at = excluded.expires_at
    where e.expires_at <= p_now;

  select array_agg(case
    when f.differs and r.strict then row(r.ord, r.unit, 409, e.event_id, true, true,
      'this idempotency key was used for another event', 'IdempotencyConflict')::outbox.verdict
    else row(r.ord, r.unit, 201, e.event_id, true, f.differs, null, null)::outbox.verdict end)
  into v_taken
  from unnest(p_rows) r
  cross join lateral (select e.event_id, e.fingerprint from outbox.event_keys e
    where e.project_id = r.project_id and e.key = r.event_key offset 0) e
  cross join lateral (select e.fingerprint <> outbox.fingerprint(r.type, r.subject, r.payload) as differs) f
  where r.event_key is not null and not r.unit = any (p_refused) and e.event_id <> r.id;
  return coalesce(v_taken, '{}');
end
$$;
