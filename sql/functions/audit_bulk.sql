-- outbox.audit_bulk(caller, action, filter, bulk, more): the one audit row of a bulk verb

create or replace function outbox.audit_bulk(
  p_caller outbox.caller, p_action text, p_filter jsonb, p_bulk outbox.bulk, p_more jsonb default '{}'
) returns void
language plpgsql
as $$
begin
  perform outbox.audit(p_caller, p_action, 'job', null, p_caller.team_id, p_caller.project_ids[1], jsonb_build_object(
    'filter', p_filter, 'dryRun', p_bulk.dry_run, 'matched', p_bulk.matched, 'affected', p_bulk.affected,
    'skipped', p_bulk.skipped, 'remaining', p_bulk.remaining) || p_more);
end
$$;
