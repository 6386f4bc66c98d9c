-- outbox.caller_of(who) -> the caller that a statement of the daemon speaks for
--
-- Either a caller whose authority was judged elsewhere, field by field, or {key_id, scope, request_id}: then the
-- key is judged here, in the statement that acts (`authorize`).

create or replace function outbox.caller_of(p_who jsonb) returns outbox.caller
language plpgsql stable
as $$
begin
  if p_who ? 'scope' then
    return outbox.authorize((p_who ->> 'key_id')::uuid, p_who ->> 'scope', p_who ->> 'request_id');
  end if;
  return jsonb_populate_record(null::outbox.caller, p_who);
end
$$;
