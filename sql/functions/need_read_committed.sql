-- outbox.need_read_committed(): OX500 under any other isolation level
--
-- The verbs take a lock and then look; an old snapshot would look past what the lock waited for, and close a
-- lane that is not empty.

create or replace function outbox.need_read_committed() returns void
language plpgsql
as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    perform outbox.refuse(500, 'outbox needs READ COMMITTED here');
  end if;
end
$$;
