-- outbox.like_of(globs) -> a JSON list of globs (* any text, ? one character) as patterns of LIKE

create or replace function outbox.like_of(p_globs jsonb) returns text[]
language sql immutable
as $$
  select array(
    select translate(replace(replace(replace(g, '\', '\\'), '%', '\%'), '_', '\_'), '*?', '%_')
    from jsonb_array_elements_text(p_globs) g)
$$;
