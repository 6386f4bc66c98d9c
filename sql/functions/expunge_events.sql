-- outbox.expunge_events(caller, events) -> (events, jobs): their content is gone, and live jobs of theirs alone end
--
-- The caller has seen that they are all of that project. Subscribers are told.

drop function if exists outbox.expunge_events;
create function outbox.expunge_events(p_caller outbox.caller, p_project uuid, p_events uuid[])
returns table (events int, jobs int)
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
  v_items outbox.settling[] := outbox.take_jobs(outbox.sole_jobs(p_events), '{queued,processing}');
begin
  perform outbox.end_jobs(p_caller, v_items, 'cancelled', 'the event was expunged', v_now);
  events := outbox.blank_events(p_events, false, v_now);
  jobs := cardinality(v_items);
  if events > 0 then
    perform outbox.tell_deleted(p_project, 'event.expunged', p_events);
  end if;
  return next;
end
$$;
