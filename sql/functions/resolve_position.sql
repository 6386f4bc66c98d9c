-- outbox.resolve_position(project, position, on_gap) -> (team_id, epoch, seq, floor, head, sequenced_at, reason)
--
-- Where a reader that was at that position goes on; null: at the head. reason: why that is not where it was
-- (expired, ahead, epoch, invalid), then seq is the floor, or the head with on_gap 'latest'. No row: no such project.

drop function if exists outbox.resolve_position;
create function outbox.resolve_position(p_project uuid, p_position text, p_on_gap text default 'earliest')
returns table (team_id uuid, epoch text, seq bigint, floor bigint, head bigint, sequenced_at timestamptz, reason text)
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_stream outbox.streams;
  v_seq numeric;
  v_last bigint;
begin
  select * into v_stream from outbox.streams s where s.project_id = p_project;
  if v_stream.project_id is null then
    return;
  end if;
  select p.team_id into team_id from outbox.projects p where p.id = p_project;
  epoch := v_stream.epoch;
  floor := v_stream.floor;
  head := v_stream.head;
  sequenced_at := v_stream.sequenced_at;
  if p_position in ('latest', 'earliest') or p_position is null then
    seq := case when p_position = 'earliest' then v_stream.floor else v_stream.head end;
    return next;
    return;
  end if;
  if p_position ~ '^[0-9a-f]{8}-(0|[1-9][0-9]{0,18})$' and p_position !~ '[\r\n]' then
    v_seq := split_part(p_position, '-', 2)::numeric;
    v_last := case when left(p_position, 8) = v_stream.epoch then v_stream.head
      else (select least(e.last_seq, v_stream.head) from outbox.stream_epochs e
        where e.project_id = p_project and e.epoch = left(p_position, 8)) end;
    reason := case when v_last is null then 'epoch' when v_seq > v_last then 'ahead'
      when v_seq < v_stream.floor then 'expired' end;
  else
    reason := 'invalid';
  end if;
  seq := case when reason is null then v_seq::bigint when p_on_gap = 'latest' then v_stream.head else v_stream.floor end;
  return next;
end
$$;
