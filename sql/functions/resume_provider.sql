-- outbox.resume_provider(caller, provider) -> was it held? Its hold is lifted now; operators only
--
-- Workers are woken at the commit.

drop function if exists outbox.resume_provider;
create function outbox.resume_provider(p_caller outbox.caller, p_provider text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_held boolean;
begin
  perform outbox.need_read_committed();
  perform outbox.need_operator(v_caller);
  select h.until is not null into v_held from outbox.provider_holds h where h.provider = p_provider;
  if v_held is null then
    perform outbox.refuse(404, 'no provider of this name was ever in trouble');
  end if;
  perform outbox.provider_answered(p_provider, true);
  perform outbox.wake_queues(array(select q.id from outbox.queues q where q.handler in ('observe', 'summarize')));
  perform outbox.audit(v_caller, 'provider.resumed', 'provider', p_provider, null, null, jsonb_build_object('wasHeld', v_held));
  return v_held;
end
$$;
