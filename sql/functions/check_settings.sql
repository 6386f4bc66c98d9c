-- outbox.check_settings(settings): OX400 for a queue's setting that is unknown or out of range

create or replace function outbox.check_settings(p_settings jsonb) returns void
language plpgsql
as $$
declare
  v_known constant text[] := '{handler,concurrency,perWorker,leaseSize,rate,attempts,backoff,timeoutMs,onDead}';
  v_wrong text;
begin
  if p_settings is null or jsonb_typeof(p_settings) <> 'object' then
    perform outbox.refuse(400, 'p_settings: an object');
  end if;
  v_wrong := (select 'unknown ' || k from jsonb_object_keys(p_settings) k where not k = any (v_known) order by k limit 1);
  v_wrong := coalesce(v_wrong, case
    when (p_settings ->> 'concurrency')::int not between 1 and 1000 then 'concurrency: 1 to 1,000'
    when (p_settings ->> 'perWorker')::int not between 1 and 1000 then 'perWorker: 1 to 1,000'
    when (p_settings ->> 'leaseSize')::int not between 1 and 500 then 'leaseSize: 1 to 500'
    when (p_settings ->> 'attempts')::int not between 1 and 100 then 'attempts: 1 to 100'
    when (p_settings ->> 'timeoutMs')::bigint not between 1000 and 86400000 then 'timeoutMs: 1,000 to 86,400,000'
    when p_settings ->> 'onDead' not in ('advance', 'block') then 'onDead: advance or block'
    else coalesce(outbox.wrong_rate(nullif(p_settings -> 'rate', 'null')),
      outbox.wrong_backoff(nullif(p_settings -> 'backoff', 'null')))
  end);
  if v_wrong is not null then
    perform outbox.refuse(400, 'p_settings: ' || v_wrong);
  end if;
end
$$;
