-- outbox.clock() -> now, by the database
--
-- The only clock of the engine. Declared stable, though it is not, so that a predicate on it can use
-- an index; a function that needs one moment reads it once into a variable. Tests install their own.

create or replace function outbox.clock() returns timestamptz
language sql stable parallel safe
as $$ select clock_timestamp() $$;
