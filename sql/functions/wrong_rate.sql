-- outbox.wrong_rate(rate) -> what is wrong with it, null when nothing is: {perSecond 0.01..10,000, burst 1..10,000}

create or replace function outbox.wrong_rate(p_rate jsonb) returns text
language plpgsql immutable
as $$
begin
  if p_rate is null or (jsonb_typeof(p_rate) = 'object' and p_rate - '{perSecond,burst}'::text[] = '{}'
      and coalesce((p_rate ->> 'perSecond')::numeric, 0) between 0.01 and 10000
      and coalesce((p_rate ->> 'burst')::int, 0) between 1 and 10000) then
    return null;
  end if;
  return 'rate: {perSecond 0.01 to 10,000, burst 1 to 10,000}';
end
$$;
