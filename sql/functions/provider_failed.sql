-- outbox.provider_failed(provider, class, retry_in, closes) -> until when it is held now; null: it is not
--
-- quota_exhausted: 15 min, doubling to 6 h; rate_limit: as asked; auth_invalid: 5 min; five transient failures or timeouts in
-- a row: 30 s, doubling to 10 min. Many calls that fail at once count as one. `closes`: it is the server's default,
-- so the queues of generation are closed and jobs stay where they are.

drop function if exists outbox.provider_failed;
create function outbox.provider_failed(p_provider text, p_class text, p_retry_in interval, p_closes boolean)
returns timestamptz
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
  v_hold outbox.provider_holds;
  v_fresh boolean;
  v_for interval;
begin
  insert into outbox.provider_holds (provider, updated_at) values (p_provider, v_now) on conflict do nothing;
  select * into v_hold from outbox.provider_holds h where h.provider = p_provider for update;
  v_fresh := coalesce(v_hold.until <= v_now, true);
  if p_class in ('transient', 'timeout') then
    v_hold.failures := v_hold.failures + 1;
    v_for := case when v_hold.failures % 5 = 0 or v_hold.until is not null then
      least(interval '30 s' * power(2, least(v_hold.holds, 10)), interval '10 min') end;
  elsif p_class = 'quota_exhausted' then
    v_for := least(interval '15 min' * power(2, least(v_hold.holds, 10)), interval '6 h');
  elsif p_class in ('rate_limit', 'auth_invalid') then
    v_for := coalesce(p_retry_in, interval '30 s');
  end if;
  if v_for is null or not (v_fresh or v_now + v_for > v_hold.until) or not (v_fresh or p_class = 'rate_limit') then
    update outbox.provider_holds h set failures = v_hold.failures, updated_at = v_now where h.provider = p_provider;
    return case when v_hold.until > v_now then v_hold.until end;
  end if;
  update outbox.provider_holds h set class = p_class, until = v_now + v_for, failures = v_hold.failures,
    holds = v_hold.holds + v_fresh::int, probing_until = null,
    since = coalesce(case when v_hold.until is not null then v_hold.since end, v_now), updated_at = v_now
  where h.provider = p_provider;
  if p_closes then
    update outbox.queues q set closed_until = v_now + v_for, closed_reason = 'provider'
    where q.handler in ('observe', 'summarize') and coalesce(q.closed_until < v_now + v_for, true);
  end if;
  return v_now + v_for;
end
$$;
