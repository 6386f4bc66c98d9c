-- outbox.settle_items(worker, results) -> the results as rows; OX400 for the first malformed one
--
-- Texts are cut to their bounds; an output over 16 KiB becomes null, class output_too_large.

create or replace function outbox.settle_items(p_worker uuid, p_results jsonb) returns outbox.settling[]
language plpgsql
as $$
declare
  v_items outbox.settling[];
begin
  if p_results is null or jsonb_typeof(p_results) <> 'array' or jsonb_array_length(p_results) not between 1 and 500
     or pg_column_size(p_results) > 8388608 then
    perform outbox.refuse(400, 'p_results: an array of 1 to 500 results, at most 8 MiB');
  end if;
  select array_agg(row(r.n, r.lease, p_worker, r.job, null, null, null, null, null, null, null, null, r.outcome,
    least(greatest(r.ms, 0), 2147483647), coalesce(left(r.class, 100), case when o.large then 'output_too_large' end),
    r.status, left(r.error, 2000), case when not o.large then r.output end,
    case when octet_length(r.detail::text) <= 32768 then r.detail end,
    make_interval(secs => coalesce(r."retryInMs", r."forMs") / 1000.0), coalesce(r.final, false), left(r.reason, 200),
    null, null, null, null)::outbox.settling order by r.n)
  into v_items
  from rows from (jsonb_to_recordset(p_results) as (lease uuid, job uuid, outcome text, ms bigint, output jsonb,
    class text, status int, error text, detail jsonb, "retryInMs" bigint, final boolean, "forMs" bigint,
    reason text)) with ordinality r(lease, job, outcome, ms, output, class, status, error, detail, "retryInMs",
    final, "forMs", reason, n)
  cross join lateral (select coalesce(octet_length(r.output::text) > 16384, false) as large) o;
  if exists (select from unnest(v_items) i where i.lease_id is null or i.job_id is null or i.outcome is null
      or i.outcome not in ('completed', 'failed', 'timed_out', 'snoozed', 'cancelled')
      or (i.outcome = 'snoozed' and i.retry_in is null) or i.retry_in < '0' or i.status not between 0 and 999) then
    perform outbox.refuse(400, 'each result needs lease, job and a known outcome; snoozed needs forMs; status 0 to 999');
  end if;
  return v_items;
exception
  when data_exception then
    perform outbox.refuse(400, 'p_results: ' || sqlerrm);
end
$$;
