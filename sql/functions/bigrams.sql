-- outbox.bigrams(text, closed) -> the text, with runs of Chinese, Japanese and Korean as overlapping pairs
--
-- No dictionary tells their words apart. `closed` leaves out the last character of a run, which an index has
-- besides: a query for a single character begins one of the pairs or is that last one.

create or replace function outbox.bigrams(p_text text, p_closed boolean) returns text
language plpgsql immutable parallel safe
as $$
declare
  v_cjk text := outbox.cjk();
begin
  if p_text !~ v_cjk then
    return p_text;
  end if;
  return (
    select string_agg(case
        when not t.pairs then t.sign
        when t.after then t.gap || t.sign || t.next || ' '
        when p_closed and t.before then ''
        else t.gap || t.sign || ' ' end, '' order by t.at)
    from (
      select c.sign, c.at, c.pairs, lead(c.sign) over w as next, lead(c.pairs, 1, false) over w as after,
        lag(c.pairs, 1, false) over w as before, case when lag(c.pairs, 1, false) over w then '' else ' ' end as gap
      from (select s.sign, s.at, s.sign ~ v_cjk as pairs
        from string_to_table(p_text, null) with ordinality s (sign, at)) c
      window w as (order by c.at)) t);
end
$$;
