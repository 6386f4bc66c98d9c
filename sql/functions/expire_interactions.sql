-- outbox.expire_interactions(limit) -> the ids that this call ended, the oldest deadline first; limit is 1000 at most
--
-- Hygiene, and the wake-up of askers: past its time nobody could answer it anyway. One `interaction.expired` each, in
-- the same transaction; an archived project gets none. One caller in the installation at a time, others get
-- nothing; what somebody holds is left for the next run. Errors: OX400.

drop function if exists outbox.expire_interactions;
create function outbox.expire_interactions(p_limit int default 1000) returns setof text
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_caller outbox.caller := outbox.me();
  v_now timestamptz := outbox.clock();
  v_rows outbox.interactions[];
begin
  perform outbox.need_read_committed();
  if (p_limit between 1 and 1000) is not true then
    perform outbox.refuse(400, 'p_limit: 1 to 1000');
  end if;
  if not pg_try_advisory_xact_lock(hashtextextended('outbox.expire_interactions', 0)) then
    return;
  end if;
  with gone as (
    update outbox.interactions i
    set state = 'expired', ended_at = v_now
    where i.ctid = any (array(
      select x.ctid from outbox.interactions x
      where x.state = 'pending' and x.expires_at <= v_now and outbox.sees(v_caller, x.team_id, x.project_id)
      order by x.expires_at limit p_limit for update skip locked))
    returning i.*
  )
  select array_agg(g::outbox.interactions order by g.expires_at, g.id) into v_rows from gone g;
  if v_rows is null then
    return;
  end if;
  perform outbox.tell_expired(v_rows);
  return query select (r).id from unnest(v_rows) r;
end
$$;
