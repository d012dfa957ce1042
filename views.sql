-- Every derived number. Instants are ms (UTC) inside and text outside; local means the
-- configured time zone. Nothing here needs more than SQLite 3.40 itself.

-- The time that every other view goes by.
create view clock as
select cast((julianday('now') - 2440587.5) * 86400000 as integer) as now;

-- The named windows; each ends now.
create view windows as
with named (window, length_ms) as (
  values
    ('1h', 3600000),
    ('5h', 18000000),
    ('24h', 86400000),
    ('7d', 604800000),
    ('30d', 2592000000),
    ('90d', 7776000000)
)
select
  'today'          as window,
  days.starts_at   as starts_at,
  clock.now        as ends_at
from clock
join local_days as days on days.starts_at <= clock.now and clock.now < days.ends_at
union all
select
  named.window                as window,
  clock.now - named.length_ms as starts_at,
  clock.now                   as ends_at
from named
cross join clock;

-- The events of each window, not yet added up: group over these rows with a window named.
create view event_pieces as
select
  windows.window as window,
  id as id,
  occurred_at as occurred_at,
  credential_id as credential_id,
  model_id as model_id,
  alias_id as alias_id,
  client_id as client_id,
  endpoint_id as endpoint_id,
  executor_id as executor_id,
  effort_id as effort_id,
  tier_id as tier_id,
  failed as failed,
  warm_up as warm_up,
  status_code as status_code,
  latency_ms as latency_ms,
  ttft_ms as ttft_ms,
  input_tokens as input_tokens,
  cached_tokens as cached_tokens,
  cache_write_tokens as cache_write_tokens,
  output_tokens as output_tokens,
  reasoning_tokens as reasoning_tokens,
  unclassified_tokens as unclassified_tokens,
  total_tokens as total_tokens,
  request_id as request_id
from windows
cross join usage_events
where usage_events.occurred_at >= windows.starts_at
  and usage_events.occurred_at < windows.ends_at;

-- Each credential with the account that it belongs to.
create view named_credentials as
select
  credentials.id          as credential_id,
  known_accounts.id       as account_id,
  known_accounts.label    as account,
  credentials.provider    as provider,
  credentials.auth_index  as auth_index,
  credentials.auth_type   as auth_type,
  proxies.name            as proxy
from credentials
join known_accounts on known_accounts.id = credentials.account_id
join proxies on proxies.id = credentials.proxy_id;

-- Requests, failures and tokens of each window.
create view totals_by_window as
select
  windows.window                          as window,
  count(id)                               as requests,
  coalesce(sum(failed), 0)                as failed,
  coalesce(sum(input_tokens), 0)          as input_tokens,
  coalesce(sum(cached_tokens), 0)         as cached_tokens,
  coalesce(sum(cache_write_tokens), 0)    as cache_write_tokens,
  coalesce(sum(output_tokens), 0)         as output_tokens,
  coalesce(sum(reasoning_tokens), 0)      as reasoning_tokens,
  coalesce(sum(unclassified_tokens), 0)   as unclassified_tokens,
  coalesce(sum(total_tokens), 0)          as total_tokens
from windows
left join event_pieces on event_pieces.window = windows.window
group by windows.window;

-- Requests, failures and tokens of each account and window.
create view accounts_by_window as
select
  window                    as window,
  account                   as account,
  provider                  as provider,
  account_id                as account_id,
  count(*)                  as requests,
  sum(failed)               as failed,
  sum(input_tokens)         as input_tokens,
  sum(cached_tokens)        as cached_tokens,
  sum(cache_write_tokens)   as cache_write_tokens,
  sum(output_tokens)        as output_tokens,
  sum(reasoning_tokens)     as reasoning_tokens,
  sum(unclassified_tokens)  as unclassified_tokens,
  sum(total_tokens)         as total_tokens
from event_pieces
join named_credentials using (credential_id)
group by window, account_id;

-- Requests, failures and tokens of each model and window.
create view models_by_window as
select
  window                    as window,
  known_models.name         as model,
  count(*)                  as requests,
  sum(failed)               as failed,
  sum(input_tokens)         as input_tokens,
  sum(cached_tokens)        as cached_tokens,
  sum(cache_write_tokens)   as cache_write_tokens,
  sum(output_tokens)        as output_tokens,
  sum(reasoning_tokens)     as reasoning_tokens,
  sum(unclassified_tokens)  as unclassified_tokens,
  sum(total_tokens)         as total_tokens
from event_pieces
join known_models on known_models.id = event_pieces.model_id
group by window, model_id;

-- Requests, failures and tokens of each client key and window.
create view clients_by_window as
select
  window                                   as window,
  coalesce(known_clients.label, '(none)')  as client,
  count(*)                                 as requests,
  sum(failed)                              as failed,
  sum(input_tokens)                        as input_tokens,
  sum(cached_tokens)                       as cached_tokens,
  sum(cache_write_tokens)                  as cache_write_tokens,
  sum(output_tokens)                       as output_tokens,
  sum(reasoning_tokens)                    as reasoning_tokens,
  sum(unclassified_tokens)                 as unclassified_tokens,
  sum(total_tokens)                        as total_tokens
from event_pieces
left join known_clients on known_clients.id = event_pieces.client_id
group by window, client_id;

-- The same by local hour; an hour that a clock change repeats stands there twice.
create view hours_by_window as
select
  window                                                            as window,
  strftime('%Y-%m-%d %H:00', (occurred_at + offset_ms) / 1000, 'unixepoch') as hour,
  offset_ms / 60000                                                 as utc_offset_minutes,
  count(*)                                                          as requests,
  sum(failed)                                                       as failed,
  sum(input_tokens)                                                 as input_tokens,
  sum(cached_tokens)                                                as cached_tokens,
  sum(cache_write_tokens)                                           as cache_write_tokens,
  sum(output_tokens)                                                as output_tokens,
  sum(reasoning_tokens)                                             as reasoning_tokens,
  sum(unclassified_tokens)                                          as unclassified_tokens,
  sum(total_tokens)                                                 as total_tokens
from event_pieces
join zone_offsets
  on zone_offsets.starts_at <= occurred_at and occurred_at < zone_offsets.ends_at
group by window, hour, offset_ms;

-- The same by local day.
create view days_by_window as
select
  window                    as window,
  day                       as day,
  count(*)                  as requests,
  sum(failed)               as failed,
  sum(input_tokens)         as input_tokens,
  sum(cached_tokens)        as cached_tokens,
  sum(cache_write_tokens)   as cache_write_tokens,
  sum(output_tokens)        as output_tokens,
  sum(reasoning_tokens)     as reasoning_tokens,
  sum(unclassified_tokens)  as unclassified_tokens,
  sum(total_tokens)         as total_tokens
from event_pieces
join local_days
  on local_days.starts_at <= occurred_at and occurred_at < local_days.ends_at
group by window, day;

-- Every attempt with its names, for people to read; newest last stored has the highest id.
create view recent_requests as
select
  usage_events.id                                                     as id,
  usage_events.occurred_at                                            as occurred_at,
  strftime('%Y-%m-%dT%H:%M:%fZ', occurred_at / 1000.0, 'unixepoch')   as timestamp,
  datetime((occurred_at + zone_offsets.offset_ms) / 1000, 'unixepoch') as local_time,
  named_credentials.account                                           as account,
  named_credentials.provider                                          as provider,
  known_models.name                                                   as model,
  coalesce(aliases.name, known_models.name)                           as alias,
  coalesce(known_clients.label, '(none)')                             as client,
  known_endpoints.name                                                as endpoint,
  failed                                                              as failed,
  status_code                                                         as status_code,
  failure_details.code                                                as code,
  failure_details.message                                             as message,
  latency_ms                                                          as latency_ms,
  ttft_ms                                                             as ttft_ms,
  input_tokens                                                        as input_tokens,
  cached_tokens                                                       as cached_tokens,
  cache_write_tokens                                                  as cache_write_tokens,
  output_tokens                                                       as output_tokens,
  reasoning_tokens                                                    as reasoning_tokens,
  unclassified_tokens                                                 as unclassified_tokens,
  total_tokens                                                        as total_tokens,
  known_efforts.name                                                  as reasoning_effort,
  known_tiers.name                                                    as service_tier,
  warm_up                                                             as warm_up,
  request_id                                                          as request_id,
  named_credentials.auth_index                                        as auth_index
from usage_events
join named_credentials on named_credentials.credential_id = usage_events.credential_id
join known_models on known_models.id = usage_events.model_id
left join known_models as aliases on aliases.id = usage_events.alias_id
left join known_clients on known_clients.id = usage_events.client_id
left join known_endpoints on known_endpoints.id = usage_events.endpoint_id
left join known_efforts on known_efforts.id = usage_events.effort_id
left join known_tiers on known_tiers.id = usage_events.tier_id
left join failure_details on failure_details.event_id = usage_events.id
left join zone_offsets
  on zone_offsets.starts_at = (
    select max(starts_at) from zone_offsets where starts_at <= usage_events.occurred_at
  );

-- Failed attempts of each window by status and code.
create view failures_by_window as
select
  event_pieces.window             as window,
  event_pieces.status_code        as status_code,
  coalesce(failure_details.code, '') as code,
  count(*)                        as requests,
  count(distinct credential_id)   as credentials,
  max(occurred_at)                as last_at,
  max(failure_details.message)    as message
from event_pieces
left join failure_details on failure_details.event_id = event_pieces.id
where failed = 1
group by 1, 2, 3;

-- What each worker says of itself, and whether it still says anything.
create view worker_states as
select
  worker                                      as worker,
  case
    when state = 'stopped' then 'stopped'
    when clock.now - beat_at > 120000 then 'silent'
    else state
  end                                         as state,
  detail                                      as detail,
  started_at                                  as started_at,
  beat_at                                     as beat_at,
  (clock.now - beat_at) / 1000                as seconds_ago
from heartbeats
cross join clock;

-- Received, stored, duplicate and rejected by hour of reception.
create view ingest_by_hour as
select
  datetime(hour_at / 1000, 'unixepoch')  as hour_utc,
  proxies.name                           as proxy,
  ingest_ledger.source                   as source,
  batches                                as batches,
  received                               as received,
  stored                                 as stored,
  duplicate                              as duplicate,
  rejected                               as rejected
from ingest_ledger
join proxies on proxies.id = ingest_ledger.proxy_id;

-- Each stretch without collection.
create view collection_gaps as
select
  proxies.name                                        as proxy,
  gaps.started_at                                     as started_at,
  gaps.ended_at                                       as ended_at,
  (coalesce(gaps.ended_at, clock.now) - gaps.started_at) / 1000 as seconds,
  gaps.ended_at is null                               as open,
  gaps.cause                                          as cause,
  gaps.detail                                         as detail,
  case
    when gaps.ended_at is not null then gaps.retention_exceeded
    else clock.now - gaps.started_at > 1000 * coalesce(proxies.retention_seconds, 60)
  end                                                 as retention_exceeded,
  gaps.batches_at_risk                                as batches_at_risk
from gaps
join proxies on proxies.id = gaps.proxy_id
cross join clock;

-- Whether the numbers can be believed: one sentence for each thing that can go wrong.
create view state_sentences as
select
  'worker ' || worker  as subject,
  case state when 'working' then 'ok' when 'stopped' then 'off' else 'trouble' end as state,
  case
    when state = 'working' then 'collecting'
    when state = 'silent' then 'no sign of life for ' || seconds_ago || ' seconds: start it again'
    else state || coalesce(': ' || detail, '')
  end                  as sentence,
  beat_at              as at
from worker_states
union all
select
  'proxy ' || name,
  case when statistics_enabled = 0 then 'trouble' when asked_at is null then 'unknown' else 'ok' end,
  case
    when statistics_enabled = 0
      then 'statistics are off: set usage-statistics-enabled: true in the proxy''s config.yaml'
    when asked_at is null then 'not asked yet'
    else 'CLIProxyAPI ' || coalesce(version, 'of unknown version')
      || case when statistics_enabled = 1 then ', statistics on' else '' end
      || case
           when retention_seconds < 600
             then ', keeps events for only ' || retention_seconds
               || ' s: set redis-usage-queue-retention-seconds: 3600'
           when retention_seconds is not null then ', keeps events for ' || retention_seconds || ' s'
           else ''
         end
  end,
  asked_at
from proxies
union all
select
  'key for ' || proxies.name,
  'trouble',
  message || '; next try at ' || datetime(retry_at / 1000, 'unixepoch') || ' UTC',
  refused_at
from refused_keys
join proxies on proxies.id = refused_keys.proxy_id
union all
select
  'collection from ' || name,
  case when first_pop_at is null then 'unknown' else 'ok' end,
  case
    when first_pop_at is null then 'nothing was collected yet'
    else 'since ' || datetime(first_pop_at / 1000, 'unixepoch')
      || ' UTC; nothing from before the first start'
  end,
  last_pop_at
from proxies
union all
select
  'gaps',
  case when sum(open) or sum(retention_exceeded) or sum(batches_at_risk) then 'trouble' else 'ok' end,
  case
    when count(*) = 0 then 'none on record'
    else count(*) || ' on record, ' || coalesce(sum(retention_exceeded), 0)
      || ' longer than the proxy keeps events, ' || coalesce(sum(batches_at_risk), 0)
      || ' batches at risk, ' || coalesce(sum(open), 0) || ' open'
  end,
  max(started_at)
from collection_gaps
union all
select
  'accounting',
  case
    when sum(received) is not sum(stored) + sum(duplicate) + sum(rejected) then 'trouble'
    when sum(rejected) > 0 then 'trouble'
    else 'ok'
  end,
  'received ' || coalesce(sum(received), 0) || ' = stored ' || coalesce(sum(stored), 0)
    || ' + duplicate ' || coalesce(sum(duplicate), 0) || ' + rejected ' || coalesce(sum(rejected), 0)
    || case when sum(rejected) > 0 then ': see rejected_events for the reasons' else '' end,
  max(hour_at)
from ingest_ledger;
