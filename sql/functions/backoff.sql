-- outbox.backoff(attempt, policy, u) -> how long to wait after that failed attempt
--
-- min(cap, base · 2^(attempt − 1)) · (0.5 + u/2), exponent capped at 30; or schedule[attempt] ± 20 %, its last
-- entry for all later ones. u in 0..1 is the jitter, given from outside so that this stays a pure function.

create or replace function outbox.backoff(p_attempt int, p_policy jsonb, p_u double precision) returns interval
language sql immutable parallel safe
as $$
  select make_interval(secs => case
    when p_policy ? 'scheduleMs' then
      (p_policy -> 'scheduleMs' ->> (least(greatest(p_attempt, 1), jsonb_array_length(p_policy -> 'scheduleMs')) - 1))::float8
        * (0.8 + 0.4 * p_u)
    else least(coalesce((p_policy ->> 'capMs')::float8, 3600000),
        coalesce((p_policy ->> 'baseMs')::float8, 5000) * 2.0 ^ least(greatest(p_attempt, 1) - 1, 30))
      * (0.5 + p_u / 2) end / 1000)
$$;
