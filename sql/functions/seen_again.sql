-- outbox.seen_again(observation, now): counts a near-duplicate of it

create or replace function outbox.seen_again(p_observation uuid, p_now timestamptz) returns void
language plpgsql
as $$
begin
  update outbox.observations o set metadata = o.metadata || jsonb_build_object(
    'seenCount', coalesce((o.metadata ->> 'seenCount')::int, 1) + 1, 'lastSeenAtEpoch', outbox.ms(p_now))
  where o.id = p_observation;
end
$$;
