-- outbox.check_route(route): OX400 for a pattern or a value out of its range

create or replace function outbox.check_route(p_route outbox.routes) returns void
language plpgsql
as $$
declare
  v_wrong text := case
    when p_route.pattern is null or char_length(p_route.pattern) > 255
      or p_route.pattern !~ '^(\*|[^\u0001-\u001f\u007f-\u009f*]+(\.\*)?)\Z' then 'pattern: a type, `a.b.*` or `*`'
    when jsonb_typeof(p_route.contains) <> 'object' or octet_length(p_route.contains::text) > 4096
      then 'contains: an object of at most 4 KiB'
    when p_route.priority not between -100 and 100 then 'priority: -100 to 100'
    when p_route.max_attempts not between 1 and 100 then 'maxAttempts: 1 to 100'
    when p_route.delay not between interval '0' and interval '366 days' then 'delayMs: 0 to 366 days'
    when p_route.timeout not between interval '1 s' and interval '24 h' then 'timeoutMs: 1,000 to 86,400,000'
  end;
begin
  if v_wrong is not null then
    perform outbox.refuse(400, v_wrong);
  end if;
end
$$;
