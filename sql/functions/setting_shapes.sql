-- outbox.setting_shapes() -> every setting of a project: its path, what it may be, and the server's default
--
-- `name` is the row of `settings` that the daemon writes; `fallback` holds where there is none. Nothing is
-- generated before a daemon has said so.

create or replace function outbox.setting_shapes()
returns table (path text, kind text, low numeric, high numeric, choices text[], name text, fallback jsonb)
language sql immutable parallel safe
as $$
  values
    ('generation.policy', 'choice', null::numeric, null::numeric, '{off,per-event,debounce,end-of-session}'::text[],
      'generation', '"off"'::jsonb),
    ('generation.quietMs', 'number', 500, 600000, null, 'quiet_ms', '5000'),
    ('generation.maxWaitMs', 'number', 500, 3600000, null, 'max_wait_ms', '60000'),
    ('generation.maxEvents', 'number', 1, 200, null, 'max_events', '50'),
    ('generation.provider', 'provider', null, null, null, 'provider', null),
    ('generation.model', 'text', 1, 128, null, 'model', null),
    ('generation.maxOutputTokens', 'number', 256, 32768, null, 'max_output_tokens', '8192'),
    ('generation.types', 'names', 1, 40, null, 'types',
      '["bugfix","feature","refactor","change","discovery","decision","security_alert","security_note","sensitive"]'),
    ('generation.skipEventTypes', 'globs', 0, 100, null, 'skip_event_types', '[]'),
    ('generation.skipTools', 'globs', 0, 100, null, 'skip_tools', '[]'),
    ('summary.enabled', 'flag', null, null, null, 'summary_enabled', 'true'),
    ('summary.quietSeconds', 'number', 0, 3600, null, 'summary_quiet_seconds', '30'),
    ('session.idleEndSeconds', 'idle', 60, 604800, null, 'idle_end_seconds', '3600'),
    ('dedupe.enabled', 'flag', null, null, null, 'dedupe_enabled', 'true'),
    ('privacy.redactSecrets', 'choice', null, null, '{off,prompt,ingest}', 'redact_secrets', '"prompt"'),
    ('budgets.tokensPerMonth', 'number', 0, 1e15, null, 'budget_tokens_per_month', null),
    ('budgets.costMicrosPerMonth', 'number', 0, 1e15, null, 'budget_cost_micros_per_month', null),
    ('budgets.callsPerHour', 'number', 0, 1e15, null, 'budget_calls_per_hour', null),
    ('retention.eventDays', 'number', 0, 3650, null, 'event_days', '90'),
    ('retention.memoryDays', 'number', 0, 3650, null, 'memory_days', '0')
$$;
