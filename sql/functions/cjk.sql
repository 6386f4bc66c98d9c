-- outbox.cjk() -> a bracket expression for characters that are written without blanks between words

create or replace function outbox.cjk() returns text
language sql immutable parallel safe
as $$
  select '[\u1100-\u11ff\u3005-\u3007\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff'
    || '\uac00-\ud7ff\uf900-\ufaff\uff66-\uff9f\U00020000-\U000323af]'
$$;
