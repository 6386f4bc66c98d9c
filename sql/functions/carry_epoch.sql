-- outbox.carry_epoch(stream) -> the stream, under a new epoch if this is another history
--
-- A promoted replica or restored backup may have lost the end of the feed. It runs on another timeline or
-- system identifier, so the first call there opens a new epoch before a number is given twice; the old one
-- is kept with how far it agrees with today's history.

create or replace function outbox.carry_epoch(p_stream outbox.streams) returns outbox.streams
language plpgsql
as $$
declare
  v_cluster text := outbox.cluster();
begin
  if p_stream.cluster = v_cluster then
    return p_stream;
  end if;
  update outbox.stream_epochs e set last_seq = least(e.last_seq, p_stream.head)
  where e.project_id = p_stream.project_id;
  insert into outbox.stream_epochs (project_id, epoch, last_seq, ended_at)
  values (p_stream.project_id, p_stream.epoch, p_stream.head, outbox.clock());
  delete from outbox.stream_epochs e where e.project_id = p_stream.project_id and e.epoch not in (
    select k.epoch from outbox.stream_epochs k where k.project_id = p_stream.project_id
    order by k.ended_at desc, k.last_seq desc limit 8);
  update outbox.streams s set epoch = left(md5(gen_random_uuid()::text), 8), cluster = v_cluster
  where s.project_id = p_stream.project_id returning * into p_stream;
  return p_stream;
end
$$;
