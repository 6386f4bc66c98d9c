-- outbox.wake_gated(handlers): an empty NOTIFY, only if a worker that knows one of them says that it sleeps
--
-- '' stands for a sequencer. A transaction that holds a NOTIFY takes a cluster-wide lock through its fsync,
-- so a busy system must send none. Setting outbox.notify = off (database, role, session): polling only.

create or replace function outbox.wake_gated(p_handlers text[]) returns void
language plpgsql
as $$
begin
  if current_setting('outbox.notify', true) is distinct from 'off'
     and exists (select from outbox.idle i where i.handler = any (p_handlers)) then
    perform pg_notify('outbox_pending', '');
  end if;
end
$$;
