-- outbox.sequence(projects, limit, hints) -> (project_id, head, numbered, keyed, last_id) of each one that moved
--
-- Numbers what is committed in `pending`: head+1 … head+n, in the order of its ids, into `feed`. The head row
-- is locked before anything is read and released when the committer is visible, so whoever reads k can read
-- all below k; a rollback gives the numbers back; nobody's open transaction is waited for, its events are
-- numbered when they commit. A project that somebody else numbers is skipped. Up to 50 projects a call, in
-- one transaction, so quiet tenants share an fsync. hints: the last pending id seen per project, so that a
-- scan does not wade through dead rows that an old snapshot keeps; null looks from the beginning. keyed: how
-- many of them `place` has to do with, since they have keyed jobs or are to be gathered.

drop function if exists outbox.sequence;
create function outbox.sequence(p_projects uuid[], p_limit int default 1000, p_hints bigint[] default null)
returns table (project_id uuid, head bigint, numbered int, keyed int, last_id bigint)
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_stream outbox.streams;
  v_at timestamptz;
begin
  perform outbox.need_read_committed();
  if coalesce(cardinality(p_projects), 0) not between 1 and 50 or p_limit not between 1 and 10000 then
    perform outbox.refuse(400, 'sequence: 1 to 50 projects, limit 1 to 10,000');
  end if;
  for v_n in 1 .. cardinality(p_projects) loop
    select * into v_stream from outbox.streams s where s.project_id = p_projects[v_n] for update skip locked;
    continue when v_stream.project_id is null;
    v_stream := outbox.carry_epoch(v_stream);
    v_at := greatest(v_stream.sequenced_at, outbox.clock());
    with taken as (
      delete from outbox.pending p where p.ctid = any (array(
        select q.ctid from outbox.pending q
        where q.project_id = p_projects[v_n] and q.id >= coalesce(p_hints[v_n], 0)
        order by q.id limit p_limit))
      returning p.id, p.event_id, p.bytes, p.type, p.jobs, p.gather
    ), numbered as (
      insert into outbox.feed (project_id, seq, sequenced_at, event_id, bytes, type, jobs, gather)
      select p_projects[v_n], v_stream.head + row_number() over (order by t.id), v_at, t.event_id, t.bytes,
        t.type, t.jobs, t.gather
      from taken t
    )
    select p_projects[v_n], v_stream.head + count(*), count(*), count(*) filter (where t.jobs is not null or t.gather), max(t.id)
    into project_id, head, numbered, keyed, last_id
    from taken t;
    continue when numbered = 0;
    update outbox.streams s set head = sequence.head, sequenced_at = v_at where s.project_id = p_projects[v_n];
    if keyed > 0 then
      insert into outbox.unplaced (project_id, first_seq, last_seq, sequenced_at)
      values (p_projects[v_n], v_stream.head + 1, head, v_at);
    end if;
    return next;
  end loop;
end
$$;
