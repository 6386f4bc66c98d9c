-- outbox.end_each(jobs, now) -> how many of them were past their time and are ended
--
-- All in one go; one by one only if that fails.

create or replace function outbox.end_each(p_jobs uuid[], p_now timestamptz) returns int
language plpgsql
as $$
declare
  v_job uuid;
  v_ended int := 0;
begin
  begin
    foreach v_job in array p_jobs loop
      v_ended := v_ended + outbox.end_over(v_job, p_now);
    end loop;
    return v_ended;
  exception
    when others then v_ended := 0;
  end;
  foreach v_job in array p_jobs loop
    begin
      v_ended := v_ended + outbox.end_over(v_job, p_now);
    exception
      when others then
        raise warning 'outbox: job % cannot be ended: %', v_job, sqlerrm;
        insert into outbox.expiries (at, job_id) values (p_now + interval '1 min', v_job) on conflict do nothing;
    end;
  end loop;
  return v_ended;
end
$$;
