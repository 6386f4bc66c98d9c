-- outbox.shares_waiting(queue) -> how many shares and lanes of it have ready rows, counted to 1,000: a loose scan

create or replace function outbox.shares_waiting(p_queue int) returns int
language plpgsql stable
as $$
declare
  v_lane bigint := -9223372036854775808;
begin
  for v_n in 0 .. 999 loop
    select r.lane into v_lane from outbox.ready r where r.queue_id = p_queue and r.lane > v_lane
    order by r.lane limit 1;
    if not found then
      return v_n;
    end if;
  end loop;
  return 1000;
end
$$;
