-- outbox.check_interaction(row, ttl): raises OX400 for a question that nobody may ask
--
-- HTTP has checked all of this before; for SQL it is the only check.

create or replace function outbox.check_interaction(p_row outbox.interactions, p_ttl interval) returns void
language plpgsql immutable
as $$
declare
  v_text constant text := '^[^\u0001-\u001f\u007f-\u009f]{1,255}\Z';
  v_wrong text := case
    when p_row.connection_id !~ v_text is not false then 'p_connection: 1 to 255 characters, no control characters'
    when p_row.expected_actor !~ v_text is not false
      then 'p_actor: 1 to 255 characters, no control characters; * is anyone'
    when p_row.id !~ '^[A-Za-z0-9._-]{1,128}\Z' then 'p_id: 1 to 128 of A-Z a-z 0-9 . _ -'
    when (p_row.kind in ('question', 'approval', 'suggestion')) is not true
      then 'p_kind: question, approval or suggestion'
    when (jsonb_typeof(p_row.prompt) in ('string', 'object')) is not true then 'p_prompt: a string or an object'
    when octet_length(p_row.prompt::text) > 16384 then 'p_prompt: at most 16 KiB'
    when (jsonb_typeof(p_row.context) = 'object') is not true then 'p_context: an object'
    when octet_length(p_row.context::text) > 32768 then 'p_context: at most 32 KiB'
    when p_row.kind = 'suggestion' and p_row.options is null then 'p_options: a suggestion needs some'
    when p_row.options is null and not p_row.free_text then 'p_options: needed where no free text is allowed'
    when p_row.kind <> 'suggestion' and p_row.max_uses is not null then 'p_max_uses: for suggestions only'
    when p_row.max_uses not between 1 and 100000 then 'p_max_uses: 1 to 100000'
    when (p_ttl between '10 seconds' and '7 days') is not true then 'p_ttl: 10 seconds to 7 days'
  end;
begin
  v_wrong := coalesce(v_wrong, outbox.wrong_options(p_row.options));
  if v_wrong is not null then
    perform outbox.refuse(400, v_wrong);
  end if;
end
$$;
