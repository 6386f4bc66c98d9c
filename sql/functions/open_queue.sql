-- outbox.open_queue(name, handler, team) -> the queue's id; made by first use
--
-- A queue has one handler: another one later is OX409. Without a handler, a new queue is `pull:<name>`.
-- A team brings at most 100 queues into being (OX409), endpoints apart: theirs are made with them (OX403).

create or replace function outbox.open_queue(p_name text, p_handler text default null, p_team uuid default null)
returns int
language plpgsql
as $$
declare
  v_queue outbox.queues;
  v_handler text := coalesce(p_handler, 'pull:' || p_name);
begin
  if p_name is null or p_name !~ '^[a-z0-9][a-z0-9._:-]{0,99}\Z' then
    perform outbox.refuse(400, 'queue: 1 to 100 of a-z 0-9 . _ : -, the first a letter or digit');
  end if;
  select * into v_queue from outbox.queues q where q.name = p_name;
  if v_queue.id is null then
    if p_name like 'endpoint:%' and v_handler <> 'deliver' then
      perform outbox.refuse(403, 'the handler deliver is not open');
    end if;
    if p_team is not null and (select count(*) from outbox.queues q
        where q.made_by = p_team and q.class <> 'endpoint') >= 100 then
      perform outbox.refuse(409, 'this team has made 100 queues already', 'LimitReached');
    end if;
    insert into outbox.queues (name, handler, class, made_by, created_at)
    values (p_name, v_handler, case when v_handler like 'pull:%' then 'pull'
      when p_name like 'endpoint:%' then 'endpoint' else v_handler end, p_team, outbox.clock())
    on conflict (name) do nothing;
    select * into v_queue from outbox.queues q where q.name = p_name;
  end if;
  if p_handler is not null and v_queue.handler <> p_handler then
    perform outbox.refuse(409, format('queue %s has the handler %s', p_name, v_queue.handler));
  end if;
  return v_queue.id;
end
$$;
