-- outbox.most_routes(team, project) -> how many routes the project sees, or of all projects there the one that sees most

create or replace function outbox.most_routes(p_team uuid, p_project uuid) returns int
language plpgsql stable
as $$
begin
  return (
    select (count(*) filter (where t.team_id is null)) + coalesce((
      select max(n.teams + n.most) from (
        select u.id, (select count(*) from outbox.routes x where x.team_id = u.id and x.project_id is null) as teams,
          coalesce((select max(c.n) from (select count(*) as n from outbox.routes y
            where y.team_id = u.id and y.project_id is not null and (p_project is null or y.project_id = p_project)
            group by y.project_id) c), 0) as most
        from outbox.teams u where p_team is null or u.id = p_team) n), 0)
    from outbox.routes t where t.team_id is null);
end
$$;
