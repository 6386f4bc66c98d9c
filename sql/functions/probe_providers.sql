-- outbox.probe_providers(queue): somebody retried a job of generation, so held providers are tried now
--
-- The hold ends, one call probes, and its answer lifts it or renews it.

create or replace function outbox.probe_providers(p_queue int) returns void
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
begin
  if not exists (select from outbox.queues q where q.id = p_queue and q.handler in ('observe', 'summarize')) then
    return;
  end if;
  update outbox.provider_holds h set until = v_now, probing_until = null, updated_at = v_now where h.until > v_now;
  update outbox.queues q set closed_until = null, closed_reason = null
  where q.handler in ('observe', 'summarize') and q.closed_reason = 'provider';
end
$$;
