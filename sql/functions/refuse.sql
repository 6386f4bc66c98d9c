-- outbox.refuse(status, detail, code) -> never: raises SQLSTATE OX<status>, HINT = code
--
-- One number travels from here to the client's status line.

create or replace function outbox.refuse(p_status int, p_detail text, p_code text default null)
returns void
language plpgsql
as $$
begin
  if p_code is null then
    raise exception using errcode = 'OX' || p_status, message = p_detail;
  end if;
  raise exception using errcode = 'OX' || p_status, message = p_detail, hint = p_code;
end
$$;
