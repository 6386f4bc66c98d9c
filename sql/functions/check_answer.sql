-- outbox.check_answer(answer, digest) -> the digest; OX400 for what cannot be an answer to anything

drop function if exists outbox.check_answer;
create function outbox.check_answer(p_answer jsonb, p_digest text) returns text
language plpgsql immutable
as $$
begin
  if p_answer is null or p_answer = 'null' then
    perform outbox.refuse(400, 'p_answer: required');
  elsif octet_length(p_answer::text) > 16384 then
    perform outbox.refuse(400, 'p_answer: at most 16 KiB');
  elsif p_digest !~ '^[0-9a-fA-F]{64}\Z' then
    perform outbox.refuse(400, 'p_digest: 64 hexadecimal digits');
  end if;
  return p_digest;
end
$$;
