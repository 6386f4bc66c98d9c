-- outbox.seen_again(observation, now): counts a near-duplicate of it
--
-- People may change metadata: what is no count there is as if nobody had counted.

create or replace function outbox.seen_again(p_observation uuid, p_now timestamptz) returns void
language plpgsql
as $$
begin
  update outbox.observations o set metadata = o.metadata || jsonb_build_object(
    'seenCount', case when outbox.whole_between(o.metadata -> 'seenCount', 1, 1e9)
      then (o.metadata ->> 'seenCount')::numeric::int else 1 end + 1, 'lastSeenAtEpoch', outbox.ms(p_now))
  where o.id = p_observation;
end
$$;
