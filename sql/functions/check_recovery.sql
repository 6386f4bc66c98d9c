-- outbox.check_recovery(endpoint, since, until, only, types, rate): may it begin? OX400 for an argument, OX409 for its state

create or replace function outbox.check_recovery(
  p_endpoint outbox.endpoints, p_since timestamptz, p_until timestamptz, p_only text, p_types text[], p_rate numeric
) returns void
language plpgsql
as $$
declare
  v_live uuid;
  v_oldest timestamptz;
begin
  if p_since is null or p_since >= p_until then
    perform outbox.refuse(400, 'p_since: before p_until, or before now');
  elsif coalesce(p_only not in ('undelivered', 'all'), true) then
    perform outbox.refuse(400, 'p_only: undelivered or all');
  elsif coalesce(p_rate not between 1 and 1000, true) then
    perform outbox.refuse(400, 'p_rate: 1 to 1,000');
  elsif p_types is not null and (cardinality(p_types) not between 1 and 50 or exists (
      select from unnest(p_types) t where t is null or char_length(t) > 255
        or t !~ '^(\*|[^\u0001-\u001f\u007f-\u009f*]+(\.\*)?)\Z')) then
    perform outbox.refuse(400, 'p_types: 1 to 50 of a type, `a.b.*` or `*`');
  end if;
  select coalesce((select f.sequenced_at from outbox.feed f
    where f.project_id = s.project_id and f.seq > s.floor order by f.seq limit 1), s.sequenced_at) into v_oldest
  from outbox.streams s where s.project_id = p_endpoint.project_id and s.floor > 0;
  if p_since < v_oldest then
    perform outbox.refuse(400, format('p_since: the feed goes back to %s only', v_oldest));
  end if;
  if p_endpoint.state = 'disabled' then
    perform outbox.refuse(409, 'the endpoint is disabled: enable it first');
  end if;
  select p_endpoint.recovery_job into v_live from outbox.job_state(p_endpoint.recovery_job) s
  where s.state in ('queued', 'processing');
  if v_live is not null then
    perform outbox.refuse(409, format('a recovery of this endpoint is under way: job %s', v_live));
  end if;
end
$$;
