-- outbox.lock_memory(project): no purge of it begins before this transaction is over
--
-- The same lock that `record_observations` takes alone; those who only write share it.

create or replace function outbox.lock_memory(p_project uuid) returns void
language plpgsql
as $$
begin
  perform pg_advisory_xact_lock_shared(hashtextextended('outbox.observations:' || p_project, 0));
end
$$;
