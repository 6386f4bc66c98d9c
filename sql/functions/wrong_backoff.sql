-- outbox.wrong_backoff(policy) -> what is wrong with it, null when nothing is
--
-- {baseMs, capMs}, each 1 ms to 24 h, cap not below base; or {scheduleMs: 1 to 20 delays of 0 to 24 h}.

create or replace function outbox.wrong_backoff(p_policy jsonb) returns text
language plpgsql immutable
as $$
declare
  v_day constant numeric := 86400000;
begin
  if p_policy is null then
    return null;
  elsif jsonb_typeof(p_policy -> 'scheduleMs') = 'array' and p_policy - 'scheduleMs' = '{}' then
    if jsonb_array_length(p_policy -> 'scheduleMs') between 1 and 20 and not exists (
      select from jsonb_array_elements(p_policy -> 'scheduleMs') s
      where jsonb_typeof(s) <> 'number' or s::numeric not between 0 and v_day) then
      return null;
    end if;
  elsif jsonb_typeof(p_policy) = 'object' and p_policy - '{baseMs,capMs}'::text[] = '{}'
      and coalesce((p_policy ->> 'baseMs')::numeric, 0) between 1 and v_day
      and coalesce((p_policy ->> 'capMs')::numeric, 0) between (p_policy ->> 'baseMs')::numeric and v_day then
    return null;
  end if;
  return 'backoff: {baseMs, capMs} or {scheduleMs: 1 to 20 delays}, at most 86,400,000';
end
$$;
