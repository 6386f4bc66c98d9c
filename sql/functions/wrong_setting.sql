-- outbox.wrong_setting(path, value) -> what is wrong with that value of a project's setting, or null

create or replace function outbox.wrong_setting(p_path text, p_value jsonb) returns text
language plpgsql stable
as $$
declare
  v_shape record;
  v_type text := jsonb_typeof(p_value);
  v_text text := p_value #>> '{}';
begin
  select * into v_shape from outbox.setting_shapes() s where s.path = p_path;
  return p_path || ': ' || case
    when v_shape.path is null then 'no such setting'
    when v_shape.kind = 'choice' and not coalesce(v_type = 'string' and v_text = any (v_shape.choices), false)
      then 'one of ' || array_to_string(v_shape.choices, ', ')
    when v_shape.kind = 'flag' and v_type <> 'boolean' then 'true or false'
    when v_shape.kind in ('number', 'idle') and not outbox.whole_between(p_value, v_shape.low, v_shape.high)
        and not (v_shape.kind = 'idle' and p_value = '0')
      then format('%sa whole number from %s to %s', case v_shape.kind when 'idle' then '0 (never), or ' end,
        v_shape.low, v_shape.high)
    when v_shape.kind = 'text' and (v_type <> 'string' or char_length(v_text) not between v_shape.low and v_shape.high)
      then format('text of %s to %s characters', v_shape.low, v_shape.high)
    when v_shape.kind = 'provider' and (v_type <> 'string' or not v_text = any (
        string_to_array(outbox.setting('providers', 'offline'), ',')))
      then 'no provider of that name is configured here'
    when v_shape.kind in ('names', 'globs') and not outbox.words_like(p_value,
        case v_shape.kind when 'names' then '^[a-z0-9_-]{1,40}$' else '^[^[:cntrl:]]{1,200}$' end, v_shape.low, v_shape.high)
      then format('a list of %s to %s %s', v_shape.low, v_shape.high, v_shape.kind)
  end;
end
$$;
