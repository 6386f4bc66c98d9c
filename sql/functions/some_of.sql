-- outbox.some_of(terms, needed) -> text of a tsquery that is met where at least so many of the terms are; null: nowhere
--
-- Of so many, i are in the one half and the others in the other. It is short for two or three needed, and long for
-- more: an index evaluates all of it for each row that it visits.

drop function if exists outbox.some_of;
create function outbox.some_of(p_terms text[], p_needed int) returns text
language plpgsql immutable parallel safe
as $$
declare
  v_half int := cardinality(p_terms) / 2;
  v_left text;
  v_right text;
  v_ways text[] := '{}';
begin
  if p_needed >= cardinality(p_terms) or p_needed = 1 then
    return case when p_needed <= cardinality(p_terms)
      then '(' || array_to_string(p_terms, case p_needed when 1 then ' | ' else ' & ' end) || ')' end;
  end if;
  for i in 0 .. p_needed loop
    v_left := case when i > 0 then outbox.some_of(p_terms[:v_half], i) end;
    v_right := case when i < p_needed then outbox.some_of(p_terms[v_half + 1:], p_needed - i) end;
    if (i = 0 or v_left is not null) and (i = p_needed or v_right is not null) then
      v_ways := v_ways || concat_ws(' & ', v_left, v_right);
    end if;
  end loop;
  return '(' || array_to_string(v_ways, ' | ') || ')';
end
$$;
