-- Which error is it? The failures of the last 24 hours by class, status and the head of their text
--
-- Digits are shown as #, so that ids do not tell equal errors apart. At most 200,000 ledger rows are read.

create or replace view outbox.failure_groups as
select f.queue, f.handler, f.class, f.status, f.error_head, f.attempts, f.jobs, f.first_at, f.last_at, f.sample_job
from outbox.failure_figures() f;
