-- outbox.worn_out(endpoint, now) -> has it failed for as long as its owner lets it?
--
-- No success since the first failure, which its owner's hours and 12 hours have passed since: one bad night, or a
-- single failure after a quiet week, disables nothing.

create or replace function outbox.worn_out(p_endpoint outbox.endpoints, p_now timestamptz) returns boolean
language sql stable
as $$
  select coalesce((p_endpoint).disable_after > '0'
    and p_now - (p_endpoint).first_failure_at >= greatest((p_endpoint).disable_after, interval '12 hours'), false)
$$;
