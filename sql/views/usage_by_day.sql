-- Who spent what?
--
-- This month and the one before, by UTC days; of each provider the newest 50,000 calls. kind: call, call_failed,
-- call_unpriced, tokens_in, tokens_out, tokens, cost_micros, observation, and request, which has no provider. cap: the
-- month's budget that bounds the kind, the project's own or the server's, a team's for requests; used_ratio: how much of
-- it was used up to the end of that day.

create or replace view outbox.usage_by_day as
select f.day, f.team_id, f.project_id, f.provider, f.model, f.kind, f.total, f.cap, f.used_ratio
from outbox.usage_figures() f;
