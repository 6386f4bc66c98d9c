-- outbox.ms(time) -> milliseconds since 1970, as replies show times

create or replace function outbox.ms(p_at timestamptz) returns bigint
language sql immutable parallel safe
as $$ select round(extract(epoch from p_at) * 1000)::bigint $$;
