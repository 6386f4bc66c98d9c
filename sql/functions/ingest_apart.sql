-- outbox.ingest_apart(rows) -> `ingest` of them, as JSON with a verdict a row, in their order
--
-- When that raises for a row's sake each row goes alone: a bad one gets a verdict of 400, one whose key somebody
-- holds right now 0, which means later. Every row is a unit of its own. A missing partition is nobody's fault and
-- raises.

create or replace function outbox.ingest_apart(p_rows outbox.incoming[]) returns jsonb
language plpgsql
as $$
declare
  v_found jsonb := '[]';
  v_row outbox.incoming;
  v_state text;
  v_constraint text;
begin
  return (select coalesce(jsonb_agg(to_jsonb(i) order by i.ord), '[]') from outbox.ingest(p_rows) i);
exception
  when data_exception or integrity_constraint_violation or program_limit_exceeded or lock_not_available then
    get stacked diagnostics v_state = returned_sqlstate, v_constraint = constraint_name;
    if v_state = '23514' and v_constraint = '' then
      raise;
    end if;
    if cardinality(p_rows) = 1 then
      return jsonb_build_array(jsonb_build_object('status', case v_state when '55P03' then 0 else 400 end,
        'error', 'cannot be stored: SQLSTATE ' || v_state));
    end if;
    foreach v_row in array p_rows loop
      v_row.ord := 0;
      v_row.unit := 0;
      v_found := v_found || outbox.ingest_apart(array[v_row]);
    end loop;
    return v_found;
end
$$;
