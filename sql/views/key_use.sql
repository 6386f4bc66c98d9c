-- Which keys are unused, expiring, or over? Never the secret

create or replace view outbox.key_use as
select k.id as key_id, k.name, k.prefix, k.team_id, k.project_id, k.scopes, k.last_used_at, k.expires_at, k.revoked_at,
  case
    when k.revoked_at is not null then 'revoked'
    when k.expires_at <= t.now then 'expired'
    when k.expires_at <= t.now + interval '14 days' then 'expires within 14 days'
    when k.last_used_at is null then 'never used'
    when k.last_used_at < t.now - interval '90 days' then 'unused for 90 days'
  end as note
from outbox.keys k
cross join (select outbox.clock() as now offset 0) t;
