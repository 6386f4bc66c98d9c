-- How much runs, how fast, per minute of the last hour?
--
-- The newest 500,000 ledger rows. complete: the minute is over, and all of it was read.

create or replace view outbox.throughput as
select f.minute, f.queue, f.handler, f.completed, f.failed, f.lost, f.wait_p50_ms, f.wait_p95_ms, f.run_p50_ms,
  f.run_p95_ms, f.complete
from outbox.rate_figures() f;
