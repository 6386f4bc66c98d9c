-- outbox.check_schedule(row): OX400 or OX413 for what no event could be made of, OX409 for a name that is taken

create or replace function outbox.check_schedule(p_row outbox.schedules) returns void
language plpgsql stable
as $$
declare
  v_wrong text;
begin
  v_wrong := case
    when p_row.name is null or p_row.name !~ '^[^\u0001-\u001f\u007f-\u009f]{1,120}\Z'
      then 'p_name: 1 to 120 characters, no control characters'
    when p_row.missed is null or not p_row.missed = any ('{once,skip,all}') then 'p_missed: once, skip or all'
    when (p_row.missed_cap between 1 and 1000) is not true then 'p_missed_cap: 1 to 1,000'
    when p_row.ends_at <= p_row.starts_at then 'p_ends_at: later than p_starts_at'
    when octet_length(p_row.payload::text) > 65536 then 'p_payload: at most 64 KiB'
  end;
  if v_wrong is not null then
    perform outbox.refuse(400, v_wrong);
  end if;
  perform outbox.check_incoming(outbox.schedule_event(p_row, outbox.clock(), 0), outbox.clock(), '');
  if exists (select from outbox.schedules s where s.project_id = p_row.project_id and s.name = p_row.name
      and s.id <> p_row.id) then
    perform outbox.refuse(409, 'a schedule of this project has this name');
  end if;
end
$$;
