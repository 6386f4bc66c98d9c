-- Which questions wait for a person? Those past their time are not among them, swept or not

create or replace view outbox.open_interactions as
select i.id, i.project_id, i.connection_id, i.kind, i.created_at, i.expires_at
from outbox.interactions i
where i.state = 'pending' and i.expires_at > (select outbox.clock());
