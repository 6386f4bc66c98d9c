-- outbox.join_gathering(group) -> how many jobs became due by it
--
-- Puts the events of one key into its open gathering, or into a new one, with the job that will work on them. At
-- `most` events the job is due at once and the gathering over; what is left opens the next. Nobody but `place`
-- makes gatherings, and it does so under the project's `placing` row, so looking first is enough. One that somebody
-- closes at this moment: OX503.

create or replace function outbox.join_gathering(p_group outbox.gathered) returns int
language plpgsql
as $$
declare
  v_open outbox.gatherings;
  v_from int := 1;
  v_to int;
  v_full boolean;
  v_due int := 0;
begin
  while v_from <= cardinality(p_group.events) loop
    select * into v_open from outbox.gatherings g
    where g.project_id = p_group.project_id and g.key = p_group.key for update skip locked;
    if not found and exists (select from outbox.gatherings g
        where g.project_id = p_group.project_id and g.key = p_group.key) then
      perform outbox.refuse(503, 'a gathering is being closed: try again');
    end if;
    v_open.events := coalesce(v_open.events, 0);
    v_to := least(cardinality(p_group.events), v_from + greatest(p_group.most - v_open.events, 1) - 1);
    v_full := v_open.events + v_to - v_from + 1 >= p_group.most;
    if v_open.job_id is null then
      v_open := outbox.open_gathering(p_group, v_from, v_to, v_full);
      v_due := v_due + v_full::int;
    else
      v_due := v_due + outbox.hasten_gathered(v_open, p_group, v_to, v_full)::int;
      -- A full one stays open if somebody had its job in hand just now, and it could not be made due.
      v_full := v_full and not exists (select from outbox.later l
        where l.job_id = v_open.job_id and l.no = 0 and (l.held is null or l.held = 'session_open'));
      update outbox.gatherings g set events = g.events + v_to - v_from + 1
      where g.project_id = p_group.project_id and g.key = p_group.key and not v_full;
    end if;
    insert into outbox.members (job_id, event_id, seq)
    select v_open.job_id, m.event, m.seq
    from unnest(p_group.events[v_from:v_to], p_group.seqs[v_from:v_to]) m(event, seq);
    if v_full then
      delete from outbox.gatherings g where g.project_id = p_group.project_id and g.key = p_group.key;
    end if;
    v_from := v_to + 1;
  end loop;
  return v_due;
end
$$;
