-- outbox.close_lanes(jobs): lanes opened for them in this transaction, in which none of them came to stand, go

create or replace function outbox.close_lanes(p_jobs uuid[]) returns void
language plpgsql
as $$
begin
  delete from outbox.lanes l where l.id = any (outbox.lock_lanes(p_jobs)) and l.last_place = '-infinity';
end
$$;
