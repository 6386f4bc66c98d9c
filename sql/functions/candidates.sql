-- outbox.candidates(type) -> the patterns that match it: {a.b.c, a.b.*, a.*, *}

create or replace function outbox.candidates(p_type text) returns text[]
language plpgsql immutable parallel safe
as $$
declare
  v_found text[] := array[p_type, '*'];
  v_at int := strpos(p_type, '.');
  v_rest int;
begin
  while v_at > 0 loop
    v_found := v_found || (left(p_type, v_at) || '*');
    v_rest := strpos(substr(p_type, v_at + 1), '.');
    v_at := case when v_rest > 0 then v_at + v_rest else 0 end;
  end loop;
  return v_found;
end
$$;
