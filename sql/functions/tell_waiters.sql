-- outbox.tell_waiters(jobs): hint `j:<id>` for each of them that a client waits for

create or replace function outbox.tell_waiters(p_jobs uuid[]) returns void
language plpgsql
as $$
begin
  perform pg_notify('outbox_wake', 'j:' || j.id)
  from unnest(p_jobs) u(id)
  cross join lateral (select j.id from outbox.jobs j where j.id = u.id and j.watched offset 0) j;
end
$$;
