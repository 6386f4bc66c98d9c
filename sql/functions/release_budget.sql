-- outbox.release_budget(caller, team, project): what a budget holds there goes on, and is asked again before its call

create or replace function outbox.release_budget(p_caller outbox.caller, p_team uuid, p_project uuid) returns void
language plpgsql
as $$
begin
  p_caller.everywhere := false;
  p_caller.team_id := p_team;
  for n in 1 .. 100 loop
    exit when outbox.unhold(p_caller, 'budget', p_project, 10000) < 10000;
  end loop;
end
$$;
