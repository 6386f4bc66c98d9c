-- outbox.provider_gate(provider) -> (until, troubled): may it be called now?
--
-- until null: yes. While it is held, no: come again then. After the end one call probes it, and meanwhile those that were
-- claimed with it come again in 5 s; queues that its hold closed stay closed. troubled: it was held or failed last, so
-- whoever gets an answer has to say so (`provider_answered`).

drop function if exists outbox.provider_gate;
create function outbox.provider_gate(p_provider text) returns table (until timestamptz, troubled boolean)
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
  v_hold outbox.provider_holds;
begin
  select * into v_hold from outbox.provider_holds h where h.provider = p_provider;
  if v_hold.until > v_now or (v_hold.until is not null and v_hold.probing_until > v_now) then
    return query select greatest(v_hold.until, v_now + interval '5 s'), true;
    return;
  end if;
  if v_hold.until is not null then
    update outbox.provider_holds h set probing_until = v_now + interval '150 s', updated_at = v_now
    where h.provider = p_provider and coalesce(h.probing_until <= v_now, true);
    if not found then
      return query select v_now + interval '5 s', true;
      return;
    end if;
    update outbox.queues q set closed_until = v_now + interval '150 s' where q.closed_reason = 'provider';
  end if;
  return query select null::timestamptz, coalesce(v_hold.until is not null or v_hold.failures > 0, false);
end
$$;
