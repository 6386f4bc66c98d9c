-- Is generation held, and what does it cost?
--
-- Every provider that is configured, was held or was called. held_until: null where it may be called; class, since: of
-- the hold. holds, failures: how often in a row. Failed are calls that led to nothing and were not given up by us.
-- last_ok_at: among the newest 200 calls. Of this hour and this day (UTC) the newest 50,000 calls, else capped.

create or replace view outbox.provider_health as
select f.provider, f.held_until, f.class, f.since, f.last_ok_at, f.calls_1h, f.failed_1h, f.tokens_today,
  f.cost_micros_today, f.holds, f.failures, f.calls_today, f.capped
from outbox.provider_figures() f;
