-- outbox.memory_vector(project, content, metadata) -> `search` of an observation with these

drop function if exists outbox.memory_vector;
create function outbox.memory_vector(p_project uuid, p_content text, p_metadata jsonb) returns tsvector
language sql stable
as $$
  select outbox.search_vector((select p.number from outbox.projects p where p.id = p_project),
    p_metadata ->> 'title', p_content, outbox.texts_of(p_metadata -> 'concepts'),
    outbox.texts_of(p_metadata -> 'files_read') || outbox.texts_of(p_metadata -> 'files_modified'))
$$;
