-- outbox.wrong_options(options) -> what is wrong with them; null: nothing

create or replace function outbox.wrong_options(p_options jsonb) returns text
language plpgsql immutable
as $$
begin
  if p_options is null then
    return null;
  end if;
  if jsonb_typeof(p_options) <> 'array' or jsonb_array_length(p_options) not between 1 and 25 then
    return 'p_options: 1 to 25 of {value, label}';
  end if;
  if exists (
    select from jsonb_array_elements(p_options) o
    where jsonb_typeof(o) <> 'object' or jsonb_typeof(o -> 'value') is distinct from 'string'
      or jsonb_typeof(o -> 'label') <> 'string') then
    return 'p_options: each is {value, label}, both strings';
  end if;
  if exists (
    select from jsonb_array_elements(p_options) o
    where octet_length(o ->> 'value') > 1024 or char_length(o ->> 'label') > 200
      or o - '{value,label}'::text[] <> '{}') then
    return 'p_options: value at most 1 KiB, label at most 200 characters, and nothing else';
  end if;
  if (select count(*) > count(distinct o ->> 'value' collate "C") from jsonb_array_elements(p_options) o) then
    return 'p_options: a value stands there twice';
  end if;
  return null;
end
$$;
