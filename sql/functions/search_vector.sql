-- outbox.search_vector(project_number, title, content, concepts, files) -> what an observation is found by
--
-- Title weighs A, content B, concepts C, files D; stemmed in the server's language, then the words as they
-- stand where that is another lexeme. Of a text whose vector would be larger than a vector may be, only the
-- beginning counts.

drop function if exists outbox.search_vector;
create function outbox.search_vector(
  p_project_number int, p_title text, p_content text, p_concepts text[], p_files text[]
) returns tsvector
language plpgsql stable
as $$
declare
  v_parts text[] := array[p_title, p_content, array_to_string(p_concepts, ' '), outbox.path_words(p_files)];
  v_stemmed tsvector := '';
  v_plain tsvector := '';
  v_text text;
begin
  for i in 1 .. 4 loop
    v_text := outbox.bigrams(coalesce(v_parts[i], ''), false);
    v_stemmed := v_stemmed || setweight(to_tsvector(outbox.search_language(), v_text), substr('ABCD', i, 1)::"char");
    v_plain := v_plain || setweight(to_tsvector('simple', v_text), substr('ABCD', i, 1)::"char");
  end loop;
  return v_stemmed || ts_delete(v_plain, tsvector_to_array(v_stemmed))
    || array_to_tsvector(array[outbox.project_lexeme(p_project_number)]);
exception
  when program_limit_exceeded then
    return outbox.search_vector(p_project_number, left(p_title, 300), left(p_content, char_length(p_content) / 2),
      p_concepts[:100], p_files[:100]);
end
$$;
