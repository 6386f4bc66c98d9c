-- outbox.claim_live(rows, now) -> the rows that may still start; the others are ended here
--
-- Who can be past his time is known without a look at the bodies: ids older than hold_days, retried ones, and, while
-- `expiries` holds something due, anybody. So in the usual case this is one index probe.

create or replace function outbox.claim_live(p_rows outbox.ready[], p_now timestamptz) returns outbox.ready[]
language plpgsql
as $$
declare
  v_floor uuid := outbox.uuid7_floor(p_now - outbox.hold());
  v_over outbox.settling[];
begin
  if not exists (select from outbox.expiries e where e.at <= p_now)
     and not exists (select from unnest(p_rows) r where r.job_id < v_floor or r.series > 0) then
    return p_rows;
  end if;
  v_over := outbox.claim_over(p_rows, p_now);
  if cardinality(v_over) = 0 then
    return p_rows;
  end if;
  perform outbox.conclude(v_over, p_now);
  return array(select r from unnest(p_rows) r
    where not r.job_id = any (array(select o.job_id from unnest(v_over) o)));
end
$$;
