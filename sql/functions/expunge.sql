-- outbox.expunge(caller, event) -> (observations, jobs): for operators, its content is gone, as `expunge_event` does it
--
-- Observations that come from it alone go too. Its place in the feed stays. Again: zeros. Errors: OX404, OX409 (archived).

drop function if exists outbox.expunge;
create function outbox.expunge(p_caller outbox.caller, p_event uuid) returns table (observations int, jobs int)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
begin
  return query select x.observations, x.jobs from outbox.expunge_event(v_caller, p_event) x;
end
$$;
