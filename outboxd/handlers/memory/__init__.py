"""Agent memory: what a model is shown of events, what it says of them, and what is kept of that.

Texts in, texts out, with neither a database nor a model:

`privacy`     strip_text(text, PRIVATE | ALL), strip_raw(json, …) → (what is left, private spans);
              says_anything(json)
`redaction`   read(file) → Redactor: .text(text), .value(decoded JSON), .raw(json); forms in `secret_forms`
`shown`       payload(json, redactor, most) → Shown(text, value, private, empty); text(…); cut(…)
`prompt`      observe(Observing, redactor), summarize(Summarizing, redactor, limit)
              → Asked(system, user, left_out)
`grammar`     observations(text, stop, types, events), summary(text, stop, types)
              → Answer(observations, summary, skip); raises ParseError or Truncated, both Unreadable
`markup`      the tags and texts that it reads
`rendering`   cleaned, content, metadata, generation_key; the same for summaries
`likeness`    of(content) → Likeness(hash, simhash)
`exact`       JSON whose numbers stay as written
"""
