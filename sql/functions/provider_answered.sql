-- outbox.provider_answered(provider, closes) -> the queues whose jobs are due again
--
-- Its hold and its failures are forgotten. `closes`: as of provider_failed; then its queues are open again.

drop function if exists outbox.provider_answered;
create function outbox.provider_answered(p_provider text, p_closes boolean) returns table (queue text, handler text)
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
  v_held boolean;
begin
  select h.until is not null into v_held from outbox.provider_holds h where h.provider = p_provider for update;
  update outbox.provider_holds h set class = null, until = null, holds = 0, failures = 0, probing_until = null,
    since = null, updated_at = v_now
  where h.provider = p_provider and (h.until is not null or h.failures > 0);
  if not coalesce(v_held, false) then
    return;
  end if;
  if p_closes then
    update outbox.queues q set closed_until = null, closed_reason = null
    where q.handler in ('observe', 'summarize') and q.closed_reason = 'provider';
  end if;
  perform outbox.unhold_jobs(row(null, null, true, null, 'outboxd', null)::outbox.caller, 'provider', null, 1000, v_now);
  return query select q.name, q.handler from outbox.queues q where q.handler in ('observe', 'summarize');
end
$$;
