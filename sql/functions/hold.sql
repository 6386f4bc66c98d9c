-- after: setting
-- outbox.hold() -> how long a job may wait in all: OUTBOXD_HOLD_DAYS, 30 unless set

create or replace function outbox.hold() returns interval
language sql stable
as $$ select make_interval(days => outbox.setting('hold_days', '30')::int) $$;
