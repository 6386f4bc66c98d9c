-- outbox.claim_replies(claims) -> (n, state, status, reply) of each claim, in their order
--
-- claims: a JSON array of {team, scope, route, key, fingerprint (hex)}. fresh: the effect may go on, and nobody else
-- may begin it before this transaction ends; its reply is kept by `keep_reply`, in this transaction. busy: somebody
-- is at it, here or elsewhere; other: another request had this key; done: what was answered then. A scope that is
-- not of the team keeps nothing: `stranger`. Try-locks, so nobody waits; the records are read in the statement after
-- them. The lock is re-entrant, so equal keys of one call are told apart by a window.

drop function if exists outbox.claim_replies;
create function outbox.claim_replies(p_claims jsonb)
returns table (n int, state text, status int, reply jsonb)
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := outbox.clock();
  v_mine boolean[];
begin
  v_mine := array(
    select pg_try_advisory_xact_lock(hashtextextended('outbox.idempotency:' || c.claim::text, 0))
    from (select jsonb_build_array(c ->> 'scope', c ->> 'route', c ->> 'key') as claim
      from jsonb_array_elements(p_claims) with ordinality c(c, at) order by at) c);
  return query
  select c.n::int, case
      when p.id is null and c.scope <> c.team then 'stranger'
      when i.key is not null and i.fingerprint <> decode(c.fingerprint, 'hex') then 'other'
      when i.key is not null then 'done'
      when not v_mine[c.n] or c.again then 'busy'
      else 'fresh' end, i.status::int, i.reply
  from (
    select c.*, row_number() over (partition by c.scope, c.route, c.key order by c.n) > 1 as again
    from rows from (jsonb_to_recordset(p_claims) as (team uuid, scope uuid, route text, key text, fingerprint text))
      with ordinality c(team, scope, route, key, fingerprint, n)) c
  left join lateral (select p.id from outbox.projects p
    where p.id = c.scope and p.team_id = c.team offset 0) p on true
  left join lateral (select i.* from outbox.idempotency i
    where i.scope_id = c.scope and i.route = c.route and i.key = c.key and i.expires_at > v_now
      and (p.id is not null or c.scope = c.team) offset 0) i on true
  order by c.n;
end
$$;
