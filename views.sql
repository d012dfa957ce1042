-- Every derived number. Instants are ms (UTC) inside and text outside; local means the
-- configured time zone. Nothing here needs more than SQLite 3.40 itself.
--
-- Contents
--   1. Time: the clock, windows and ranges; how a range is cut into buckets
--   2. Names: accounts, credentials, clients and proxies as people read them
--   3. Usage: what was used: buckets, windows, lifetime totals
--   4. Requests: single attempts
--   5. Health: workers, gaps, accounting, integrity
--   6. Quota: limits, verdicts, forecasts, history
--   7. Budgets and bills: budgets by period, the bill of a month
--   8. Problems and alerts: what is wrong now

-- 1. Time

-- The time that every other view goes by.
create view clock as
select cast((julianday('now') - 2440587.5) * 86400000 as integer) as now;

-- The named windows, today first. Each ends now; its start is floored to the minute, from 7d on to
-- the hour; today has no length. With what lay before each, equally long: before today, yesterday
-- until the same time. step is the default step of a series, chart_step that of the page's charts.
create view windows as
with named (window, length_ms, floor_ms, before_floor_ms, step, chart_step, is_default) as (
  values
    ('today', null, null, null, 'hour', 'hour', 0),
    ('1h', 3600000, 60000, 1, 'hour', 'minute', 0),
    ('5h', 18000000, 60000, 1, 'hour', 'quarter hour', 0),
    ('24h', 86400000, 60000, 1, 'hour', 'hour', 1),
    ('7d', 604800000, 3600000, 3600000, 'day', 'hour', 0),
    ('30d', 2592000000, 3600000, 3600000, 'day', 'day', 0),
    ('90d', 7776000000, 3600000, 3600000, 'day', 'day', 0)
),
-- Materialized, or SQLite compiles each subquery again wherever its column is used.
placed as materialized (
  select
    *,
    coalesce(
      (now - length_ms) / floor_ms * floor_ms,
      (select max(starts_at) from local_days where starts_at <= now)
    )                                                       as starts_at
  from named
  cross join clock
)
select
  window                                                    as window,
  starts_at                                                 as starts_at,
  now                                                       as ends_at,
  coalesce(
    (2 * starts_at - now) / before_floor_ms * before_floor_ms,
    (select max(starts_at) from local_days where starts_at < placed.starts_at)
  )                                                         as before_starts_at,
  iif(
    length_ms is null,
    (select max(starts_at) from local_days where starts_at < placed.starts_at) + now - starts_at,
    starts_at
  )                                                         as before_ends_at,
  step                                                      as step,
  chart_step                                                as chart_step,
  is_default                                                as is_default
from placed
where starts_at is not null;

-- Months: calendar months of the configured time zone, as far as its days are known.
create view months as
select
  substr(day, 1, 7)  as month,
  min(day)           as from_day,
  max(day)           as to_day,
  min(starts_at)     as starts_at,
  max(ends_at)       as ends_at
from local_days
group by 1;

-- The running day, week (from Monday on) and calendar month, in whole local days.
create view running_periods as
with named (per) as (
  values ('day'), ('week'), ('month')
),
placed as (
  select
    per                                                     as per,
    case per
      when 'day' then day
      when 'week' then date(day, 'weekday 0', '-6 days')
      else date(day, 'start of month')
    end                                                     as from_day,
    case per
      when 'day' then day
      when 'week' then date(day, 'weekday 0')
      else date(day, 'start of month', '+1 month', '-1 day')
    end                                                     as to_day
  from named
  cross join local_days
  where starts_at = (
    select max(starts_at) from local_days where starts_at <= (select now from clock)
  )
)
select
  per                                                                         as per,
  from_day                                                                    as from_day,
  to_day                                                                      as to_day,
  (select starts_at from local_days where day >= from_day order by day limit 1) as starts_at,
  (select ends_at from local_days where day <= to_day order by day desc limit 1) as ends_at
from placed;

-- Every range that usage can be asked for. Name it by a constant: by window, for a named one, or by
-- range_key = json_array(window, from, to), as the parameters of a query have it: a named window
-- (with none the default one), the time before one (from is "before 24h", and so on), local days
-- from … to, json_array('month', '2026-11', ''), or json_array('this month', '', '').
-- (json_each takes its argument from the constraint on its hidden column json, which is the key.)
create view ranges as
select
  null        as range_key,
  window      as window,
  ''          as from_day,
  ''          as to_day,
  starts_at   as starts_at,
  ends_at     as ends_at,
  0           as is_over
from windows
union all
select
  asked.json,
  iif(json ->> 1 = '', window, 'custom'),
  json ->> 1,
  json ->> 1,
  iif(json ->> 1 = '', starts_at, before_starts_at),
  iif(json ->> 1 = '', ends_at, before_ends_at),
  json ->> 1 <> ''
from windows
cross join json_each as asked
where asked.key = 0
  and (
    json ->> 1 = '' and (json ->> 0 = window or json ->> 0 = '' and is_default)
    or json ->> 1 = 'before ' || window
    or json ->> 1 = 'before ' and is_default
  )
union all
select
  asked.json,
  json ->> 0,
  from_day,
  to_day,
  starts_at,
  ends_at,
  0
from json_each as asked
cross join running_periods on json ->> 0 = 'this ' || per
where asked.key = 0
union all
select
  asked.json,
  iif(json ->> 0 = 'month', 'month', 'custom'),
  first.day,
  last.day,
  first.starts_at,
  last.ends_at,
  last.ends_at < (select now from clock)
from json_each as asked
cross join local_days as first
  on first.day = iif(
    json ->> 0 = 'month',
    (select min(day) from local_days where day >= (json ->> 1) || '-01'),
    json ->> 1
  )
cross join local_days as last
  on last.day >= first.day
  and last.day = iif(
    json ->> 0 = 'month',
    (select max(day) from local_days where day <= (json ->> 1) || '-31'),
    coalesce(nullif(json ->> 2, ''), json ->> 1)
  )
where asked.key = 0;

-- A range cut into the buckets that answer a slice, as slice_resolutions lists them. Between
-- first_at and last_at each resolution covers, at the start and at the end, what the next coarser
-- one leaves; single events (resolution 0) the rest. Where the last bucket reaches beyond the end of
-- the range, the events beyond it are subtracted: their weight is -1. Fine buckets have the offset
-- of local time, which is one for all of a segment.
create view range_segments as
with placed as (
  select
    *,
    -- Without single events a range begins, and ends, with a whole bucket.
    starts_at - iif(starts_at < raw_complete_from, starts_at % kept_ms, 0) as first_at,
    case
      when ends_at < raw_complete_from then (ends_at + kept_ms - 1) / kept_ms * kept_ms
      when is_over then ends_at
      else (ends_at + coarsest_ms - 1) / coarsest_ms * coarsest_ms
    end                                                                     as last_at
  from ranges
  cross join slice_resolutions
  cross join rollup_state
  where recent_only is null
    or recent_only = ((starts_at + 59999) / 60000 * 60000 >= recent_from)
),
cut as (
  select
    *,
    case part
      when 'start' then (first_at + length_ms - 1) / length_ms * length_ms
      when 'end' then max(
        last_at / coarser_ms * coarser_ms,
        (first_at + coarser_ms - 1) / coarser_ms * coarser_ms
      )
      else ends_at
    end                                                     as from_at,
    iif(
      part = 'start',
      min(
        (first_at + coarser_ms - 1) / coarser_ms * coarser_ms,
        last_at / length_ms * length_ms
      ),
      last_at / length_ms * length_ms
    )                                                       as until_at
  from placed
)
select
  range_key                                                 as range_key,
  window                                                    as window,
  slice                                                     as slice,
  fine                                                      as fine,
  of_account                                                as of_account,
  of_model                                                  as of_model,
  of_client                                                 as of_client,
  case
    -- Hours do not fit local hours where the offset is not whole, or begins or ends within one.
    when resolution = 3
      and (
        offset_ms % 3600000 or zone_offsets.starts_at % 3600000 or zone_offsets.ends_at % 3600000
      )
      and (instead > 0 or first_at >= raw_complete_from) then instead
    when is_recent and from_at < recent_from then instead
    else resolution
  end                                                       as resolution,
  max(from_at, coalesce(zone_offsets.starts_at, 0))         as from_at,
  min(until_at, coalesce(zone_offsets.ends_at, until_at))   as until_at,
  iif(part = 'beyond', -1, 1)                               as weight,
  offset_ms                                                 as offset_ms
from cut
left join zone_offsets
  on fine and zone_offsets.starts_at < until_at and zone_offsets.ends_at > from_at
where from_at < until_at;

-- Which ranges begin before single events are kept, and what that means for their numbers. Name a
-- range, as in `ranges`.
create view range_coverage as
select
  range_key                                                           as range_key,
  window                                                              as window,
  from_day                                                            as from_day,
  to_day                                                              as to_day,
  starts_at                                                           as starts_at,
  ends_at                                                             as ends_at,
  raw_complete_from                                                   as raw_complete_from,
  starts_at < raw_complete_from                                       as is_whole_buckets,
  iif(
    starts_at < raw_complete_from,
    'single events are kept from ' || date(raw_complete_from / 1000, 'unixepoch')
      || ' UTC on. Before that, numbers by account are of whole hours, those by account and model '
      || 'or client and model of whole UTC days; two filters at once, failures by status and the '
      || 'latency of one account know nothing older.',
    null
  )                                                                   as sentence
from ranges
cross join rollup_state;

-- 2. Names: accounts, credentials, clients and proxies as people read them

-- Each account by the name that its user gives it, else by its label, with the plan where several
-- accounts have one label. An account that was merged into another is left out.
create view named_accounts as
select
  id        as account_id,
  coalesce(
    name,
    (select alias from aliases where kind = 'account' and name = provider || ':' || label),
    (select alias from aliases where kind = 'account' and name = label),
    label
  )         as account,
  provider  as provider,
  label     as label
from known_accounts
where merged_into is null;

-- Each credential with the account that it belongs to.
create view named_credentials as
select
  credentials.id          as credential_id,
  credentials.account_id  as account_id,
  named_accounts.account  as account,
  credentials.provider    as provider,
  credentials.auth_index  as auth_index,
  credentials.auth_type   as auth_type,
  credentials.proxy_id    as proxy_id,
  proxies.name            as proxy
from credentials
join named_accounts on named_accounts.account_id = credentials.account_id
join proxies on proxies.id = credentials.proxy_id;

-- The proxies that know an account: by a credential that it used, or by a credential file.
create view accounts_at_proxies as
select
  credentials.account_id  as account_id,
  credentials.proxy_id    as proxy_id,
  proxies.name            as proxy
from credentials
join proxies on proxies.id = credentials.proxy_id
union
select
  credential_files.account_id,
  credential_files.proxy_id,
  proxies.name
from credential_files
join proxies on proxies.id = credential_files.proxy_id;

-- The same in one row for each account.
create view account_proxies as
select
  account_id                 as account_id,
  group_concat(proxy, ', ')  as proxy
from (select account_id, proxy from accounts_at_proxies order by account_id, proxy)
group by account_id;

-- Each client key by the name that the settings give it, else by its label; several keys may have
-- one name. Client 0 stands for none.
create view named_clients as
select
  id  as client_id,
  coalesce(
    (select alias from aliases where kind = 'client' and name = hex(key_hash)),
    (select alias from aliases where kind = 'client' and name = label),
    label
  )   as client
from known_clients
union all
select 0, '(none)';

-- How many accounts of each provider are in each state now, as the best of their groups; none is
-- 0, so that an alarm can be set.
create view account_counts as
with states (state) as (
  values ('usable'), ('blocked'), ('unknown'), ('needs_login'), ('deactivated'), ('disabled')
),
placed as (
  select
    provider as provider,
    case
      when max(usable) = 1 then 'usable'
      when count(usable) < count(*) then 'unknown'
      else coalesce(
        max(iif(reason in ('needs_login', 'deactivated', 'disabled'), reason, null)),
        'blocked'
      )
    end as state
  from group_verdicts
  group by account_id
)
select
  placed.provider                     as provider,
  states.state                        as state,
  sum(placed.state = states.state)    as accounts
from placed
cross join states
group by 1, 2;

-- 3. Usage: what was used: buckets, windows, lifetime totals

-- What single events add to sums: the numbers that every rollup holds. Latencies are of successful
-- attempts that are no warm-ups.
create view event_measures as
select
  id                                                              as event_id,
  occurred_at                                                     as occurred_at,
  credential_id                                                   as credential_id,
  model_id                                                        as model_id,
  coalesce(client_id, 0)                                          as client_id,
  1                                                               as requests,
  failed                                                          as failed,
  cancelled                                                       as cancelled,
  input_tokens                                                    as input_tokens,
  cached_tokens                                                   as cached_tokens,
  cache_write_tokens                                              as cache_write_tokens,
  output_tokens                                                   as output_tokens,
  reasoning_tokens                                                as reasoning_tokens,
  unclassified_tokens                                             as unclassified_tokens,
  coalesce(cost_microdollars, 0)                                  as cost_microdollars,
  saved_microdollars                                              as saved_microdollars,
  cost_reason is not null                                         as unpriced,
  iif(is_timed, latency_ms, 0)                                    as timed_ms,
  iif(is_timed, output_tokens, 0)                                 as timed_tokens,
  iif(is_timed and ttft_ms < latency_ms, latency_ms - ttft_ms, 0) as streamed_ms,
  iif(is_timed and ttft_ms < latency_ms, output_tokens, 0)        as streamed_tokens,
  iif(is_success, latency_ms, null)                               as latency_ms,
  iif(is_success, ttft_ms, null)                                  as ttft_ms
from (
  select
    *,
    not failed and not warm_up                                          as is_success,
    not failed and not warm_up and latency_ms > 0 and output_tokens > 0 as is_timed
  from usage_events
);

-- What a range used, in buckets to be added up: one row for each bucket of each slice. A slice says
-- how usage is divided, and whose it is where that is one account, model or client: name that too.
-- Name range, slice and fine by constants and sum directly over this view; join names afterwards.
-- The ids that a slice does not divide by mean nothing, nor does the proxy where the credential
-- has it. local_at is local time in ms, of fine buckets. (Several columns share a line here, so
-- that the arms can be compared.)
create view usage_buckets as
select range_key, window, 'total' as slice, fine, '' as account, '' as model, '' as client,
  bucket_at, bucket_at + offset_ms as local_at,
  proxy_id, null as credential_id, null as model_id, null as client_id,
  null as timed_ms, null as timed_tokens, null as streamed_ms, null as streamed_tokens,
  requests, failed, cancelled, input_tokens, cached_tokens, cache_write_tokens, output_tokens,
  reasoning_tokens, unclassified_tokens, cost_microdollars, unpriced, saved_microdollars
from range_segments as part cross join total_rollup as sums
  on sums.resolution = part.resolution and bucket_at >= from_at and bucket_at < until_at
where part.slice = 'total'
union all
select range_key, window, 'model', fine, '', '', '',
  bucket_at, bucket_at + offset_ms, proxy_id, null, model_id, null,
  timed_ms, timed_tokens, streamed_ms, streamed_tokens,
  requests, failed, cancelled, input_tokens, cached_tokens, cache_write_tokens, output_tokens,
  reasoning_tokens, unclassified_tokens, cost_microdollars, unpriced, saved_microdollars
from range_segments as part cross join model_rollup as sums
  on sums.resolution = part.resolution and bucket_at >= from_at and bucket_at < until_at
where part.slice = 'model'
union all
select range_key, window, 'client', fine, '', '', '',
  bucket_at, bucket_at + offset_ms, proxy_id, null, null, client_id, null, null, null, null,
  requests, failed, cancelled, input_tokens, cached_tokens, cache_write_tokens, output_tokens,
  reasoning_tokens, unclassified_tokens, cost_microdollars, unpriced, saved_microdollars
from range_segments as part cross join client_rollup as sums
  on sums.resolution = part.resolution and bucket_at >= from_at and bucket_at < until_at
where part.slice = 'client'
union all
select range_key, window, 'credential', fine, '', '', '',
  bucket_at, bucket_at + offset_ms, null, credential_id, null, null, null, null, null, null,
  requests, failed, cancelled, input_tokens, cached_tokens, cache_write_tokens, output_tokens,
  reasoning_tokens, unclassified_tokens, cost_microdollars, unpriced, saved_microdollars
from range_segments as part cross join credential_rollup as sums
  on sums.resolution = part.resolution and bucket_at >= from_at and bucket_at < until_at
where part.slice = 'credential'
union all
select range_key, window, 'total of model', fine, '', named.name, '',
  bucket_at, bucket_at + offset_ms, proxy_id, null, model_id, null,
  null, null, null, null,
  requests, failed, cancelled, input_tokens, cached_tokens, cache_write_tokens, output_tokens,
  reasoning_tokens, unclassified_tokens, cost_microdollars, unpriced, saved_microdollars
from range_segments as part cross join known_models as named
cross join (select resolution, bucket_at as present_at, proxy_id as present_id from total_rollup)
  as present on present.resolution = part.resolution
  and present_at >= from_at and present_at < until_at
cross join model_rollup as sums
  on sums.resolution = part.resolution and bucket_at = present_at and proxy_id = present_id
  and model_id = named.id
where part.slice = 'total of model'
union all
select range_key, window, 'total of client', fine, '', '', named.client,
  bucket_at, bucket_at + offset_ms, proxy_id, null, null, sums.client_id, null, null, null, null,
  requests, failed, cancelled, input_tokens, cached_tokens, cache_write_tokens, output_tokens,
  reasoning_tokens, unclassified_tokens, cost_microdollars, unpriced, saved_microdollars
from range_segments as part cross join named_clients as named
cross join (select resolution, bucket_at as present_at, proxy_id as present_id from total_rollup)
  as present on present.resolution = part.resolution
  and present_at >= from_at and present_at < until_at
cross join client_rollup as sums
  on sums.resolution = part.resolution and bucket_at = present_at and proxy_id = present_id
  and sums.client_id = named.client_id
where part.slice = 'total of client'
union all
select range_key, window, 'total of account', fine, named.account, '', '',
  bucket_at, bucket_at + offset_ms, named.proxy_id, sums.credential_id, null, null,
  null, null, null, null,
  requests, failed, cancelled, input_tokens, cached_tokens, cache_write_tokens, output_tokens,
  reasoning_tokens, unclassified_tokens, cost_microdollars, unpriced, saved_microdollars
from range_segments as part cross join named_credentials as named
cross join (select resolution, bucket_at as present_at, proxy_id as present_id from total_rollup)
  as present on present.resolution = part.resolution
  and present_at >= from_at and present_at < until_at
cross join credential_rollup as sums
  on sums.resolution = part.resolution and bucket_at = present_at and present_id = named.proxy_id
  and sums.credential_id = named.credential_id
where part.slice = 'total of account'
union all
select range_key, window, 'model of account', fine, named.account, '', '',
  bucket_at, bucket_at + offset_ms, named.proxy_id, sums.credential_id, model_id, null,
  null, null, null, null,
  requests, failed, cancelled, input_tokens, cached_tokens, cache_write_tokens, output_tokens,
  reasoning_tokens, unclassified_tokens, cost_microdollars, unpriced, saved_microdollars
from range_segments as part cross join named_credentials as named
cross join (
  select resolution, bucket_at as present_at, credential_id as present_id from credential_rollup
) as present on present.resolution = part.resolution
  and present_at >= from_at and present_at < until_at and present_id = named.credential_id
cross join known_models
cross join credential_model_rollup as sums
  on sums.resolution = part.resolution and model_id = known_models.id and bucket_at = present_at
  and sums.credential_id = named.credential_id
where part.slice = 'model of account'
union all
select range_key, window, 'credential of model', fine, '', named.name, '',
  bucket_at, bucket_at + offset_ms, null, credential_id, model_id, null, null, null, null, null,
  requests, failed, cancelled, input_tokens, cached_tokens, cache_write_tokens, output_tokens,
  reasoning_tokens, unclassified_tokens, cost_microdollars, unpriced, saved_microdollars
from range_segments as part cross join known_models as named
cross join credential_model_rollup as sums
  on sums.resolution = part.resolution and bucket_at >= from_at and bucket_at < until_at
  and model_id = named.id
where part.slice = 'credential of model'
union all
select range_key, window, 'model of client', fine, '', '', named.client,
  bucket_at, bucket_at + offset_ms, proxy_id, null, model_id, sums.client_id,
  null, null, null, null,
  requests, failed, cancelled, input_tokens, cached_tokens, cache_write_tokens, output_tokens,
  reasoning_tokens, unclassified_tokens, cost_microdollars, unpriced, saved_microdollars
from range_segments as part cross join named_clients as named
cross join client_model_rollup as sums
  on sums.resolution = part.resolution and bucket_at >= from_at and bucket_at < until_at
  and sums.client_id = named.client_id
where part.slice = 'model of client'
union all
select * from event_buckets;

-- The same from single events: where no bucket is kept, beyond the end of a range, and for two
-- filters at once.
create view event_buckets as
select range_key, window, slice, fine, '' as account,
  iif(of_model, known_models.name, '') as model, iif(of_client, clients.client, '') as client,
  occurred_at as bucket_at, occurred_at + offset_ms as local_at,
  (select proxy_id from credentials where credentials.id = credential_id) as proxy_id,
  credential_id, model_id, events.client_id,
  -- For models alone, since these are computed from several columns.
  iif(slice = 'model', weight * timed_ms, null) as timed_ms,
  iif(slice = 'model', weight * timed_tokens, null) as timed_tokens,
  iif(slice = 'model', weight * streamed_ms, null) as streamed_ms,
  iif(slice = 'model', weight * streamed_tokens, null) as streamed_tokens,
  weight * requests as requests, weight * failed as failed, weight * cancelled as cancelled,
  weight * input_tokens as input_tokens, weight * cached_tokens as cached_tokens,
  weight * cache_write_tokens as cache_write_tokens, weight * output_tokens as output_tokens,
  weight * reasoning_tokens as reasoning_tokens,
  weight * unclassified_tokens as unclassified_tokens,
  weight * cost_microdollars as cost_microdollars, weight * unpriced as unpriced,
  weight * saved_microdollars as saved_microdollars
from range_segments as part
left join known_models on of_model
left join named_clients as clients on of_client
cross join event_measures as events
  on occurred_at >= from_at and occurred_at < until_at
  and model_id = coalesce(known_models.id, model_id)
  and events.client_id = coalesce(clients.client_id, events.client_id)
where part.resolution = 0 and not of_account
union all
-- Those of one account are few, and have an index.
select range_key, window, slice, fine, named.account,
  iif(of_model, known_models.name, ''), iif(of_client, clients.client, ''),
  occurred_at, occurred_at + offset_ms,
  named.proxy_id, named.credential_id, model_id, events.client_id,
  null, null, null, null,
  weight * requests, weight * failed, weight * cancelled, weight * input_tokens,
  weight * cached_tokens, weight * cache_write_tokens, weight * output_tokens, weight * reasoning_tokens,
  weight * unclassified_tokens, weight * cost_microdollars, weight * unpriced,
  weight * saved_microdollars
from range_segments as part
cross join named_credentials as named
left join known_models on of_model
left join named_clients as clients on of_client
cross join event_measures as events
  on occurred_at >= from_at and occurred_at < until_at
  and events.credential_id = named.credential_id
  and model_id = coalesce(known_models.id, model_id)
  and events.client_id = coalesce(clients.client_id, events.client_id)
where part.resolution = 0 and of_account;

-- What a range used in all, by the buckets of another slice; to be joined with the rollup of that for
-- a few models or credentials, of which only the rows are read. Events are in segment_events.
create view range_buckets as
select
  range_key                                           as range_key,
  slice                                               as slice,
  fine                                                as fine,
  part.resolution                                     as resolution,
  bucket_at                                           as bucket_at,
  bucket_at + offset_ms                               as local_at,
  proxy_id                                            as proxy_id,
  requests                                            as requests,
  failed                                              as failed,
  input_tokens + output_tokens + unclassified_tokens  as total_tokens,
  cost_microdollars                                   as cost_microdollars,
  unpriced                                            as unpriced
from range_segments as part
cross join total_rollup as total
  on total.resolution = part.resolution and bucket_at >= from_at and bucket_at < until_at;

-- The events that a slice is answered with where no bucket is kept, and those beyond its range.
create view segment_events as
select
  range_key                                                     as range_key,
  slice                                                         as slice,
  fine                                                          as fine,
  occurred_at                                                   as bucket_at,
  occurred_at + offset_ms                                       as local_at,
  credential_id                                                 as credential_id,
  model_id                                                      as model_id,
  weight                                                        as requests,
  weight * failed                                               as failed,
  weight * (input_tokens + output_tokens + unclassified_tokens) as total_tokens,
  weight * cost_microdollars                                    as cost_microdollars,
  weight * unpriced                                             as unpriced
from range_segments as part
cross join event_measures on occurred_at >= from_at and occurred_at < until_at
where part.resolution = 0;

-- What a range used in all, in buckets to be added up: fewer numbers than `usage_buckets` has, for
-- series that also show parts of it.
create view total_buckets as
select
  range_key                                                               as range_key,
  fine                                                                    as fine,
  proxy_id                                                                as proxy_id,
  bucket_at                                                               as bucket_at,
  local_at                                                                as local_at,
  requests                                                                as requests,
  failed                                                                  as failed,
  total_tokens                                                            as total_tokens,
  cost_microdollars                                                       as cost_microdollars,
  unpriced                                                                as unpriced
from range_buckets
where slice = 'total'
union all
select
  range_key                                                               as range_key,
  fine                                                                    as fine,
  (select proxy_id from credentials where credentials.id = credential_id) as proxy_id,
  bucket_at                                                               as bucket_at,
  local_at                                                                as local_at,
  requests                                                                as requests,
  failed                                                                  as failed,
  total_tokens                                                            as total_tokens,
  cost_microdollars                                                       as cost_microdollars,
  unpriced                                                                as unpriced
from segment_events
where slice = 'total';

-- How many successful attempts of a range took about so long: kind 1 latency, 2 time to first
-- token; slice latency for all, latency of models by model.
create view latency_histogram as
select
  range_key     as range_key,
  window        as window,
  slice         as slice,
  sums.proxy_id as proxy_id,
  null          as model_id,
  sums.kind     as kind,
  sums.ms       as ms,
  sums.requests as requests
from range_segments as part
cross join latency_rollup as sums
  on sums.resolution = part.resolution and bucket_at >= from_at and bucket_at < until_at
where part.slice = 'latency' and part.fine = 0
union all
select
  range_key     as range_key,
  window        as window,
  slice         as slice,
  sums.proxy_id as proxy_id,
  sums.model_id as model_id,
  sums.kind     as kind,
  sums.ms       as ms,
  sums.requests as requests
from range_segments as part
cross join model_latency_rollup as sums
  on sums.resolution = part.resolution and bucket_at >= from_at and bucket_at < until_at
where part.slice = 'latency of models' and part.fine = 0
union all
select
  range_key                                                                as range_key,
  window                                                                   as window,
  slice                                                                    as slice,
  (select proxy_id from credentials where credentials.id = credential_id)  as proxy_id,
  model_id                                                                 as model_id,
  kinds.column1                                                            as kind,
  (
    select ms
    from latency_buckets
    where from_ms <= iif(kinds.column1 = 1, latency_ms, ttft_ms)
    order by from_ms desc
    limit 1
  )                                                                        as ms,
  weight                                                                   as requests
from range_segments as part
cross join event_measures
  on occurred_at >= from_at and occurred_at < until_at
cross join (values (1), (2)) as kinds
  on iif(kinds.column1 = 1, latency_ms, ttft_ms) is not null
where part.slice in ('latency', 'latency of models') and part.fine = 0 and part.resolution = 0;

-- The attempts of one account in a range, one by one; the account must be named too.
create view account_attempts as
select
  range_key                       as range_key,
  window                          as window,
  named.account                   as account,
  named.proxy_id                  as proxy_id,
  occurred_at                     as occurred_at,
  latency_ms                      as latency_ms,
  ttft_ms                         as ttft_ms,
  output_tokens                   as output_tokens
from named_credentials as named
cross join ranges
cross join event_measures
  on event_measures.credential_id = named.credential_id
  and occurred_at >= starts_at
  and occurred_at < ends_at;

-- Failed attempts of a range by status and code, to be added up; 0 and '' stand for none.
create view failure_buckets as
select
  range_key               as range_key,
  window                  as window,
  fine                    as fine,
  bucket_at               as bucket_at,
  bucket_at + offset_ms   as local_at,
  proxy_id                as proxy_id,
  status_code             as status_code,
  code                    as code,
  requests                as requests,
  cancelled               as cancelled,
  message                 as message
from range_segments as part
cross join failure_rollup as sums
  on sums.resolution = part.resolution and bucket_at >= from_at and bucket_at < until_at
where part.slice = 'failures'
union all
select
  range_key                                                                as range_key,
  window                                                                   as window,
  fine                                                                     as fine,
  occurred_at                                                              as bucket_at,
  occurred_at + offset_ms                                                  as local_at,
  (select proxy_id from credentials where credentials.id = credential_id)  as proxy_id,
  coalesce(status_code, 0)                                                 as status_code,
  coalesce(code, '')                                                       as code,
  weight                                                                   as requests,
  weight * cancelled                                                       as cancelled,
  message                                                                  as message
from range_segments as part
cross join usage_events indexed by failed_events_by_time
  on occurred_at >= from_at and occurred_at < until_at
left join failure_details on failure_details.event_id = usage_events.id
where part.slice = 'failures' and part.resolution = 0 and failed = 1;

-- The failed attempts of a range, one by one; 0 stands for no status.
create view failed_attempts as
select
  range_key                 as range_key,
  window                    as window,
  fine                      as fine,
  usage_events.id           as event_id,
  occurred_at               as occurred_at,
  occurred_at + offset_ms   as local_at,
  credential_id             as credential_id,
  model_id                  as model_id,
  coalesce(client_id, 0)    as client_id,
  coalesce(status_code, 0)  as status_code,
  cancelled                 as cancelled
from range_segments as part
cross join usage_events indexed by failed_events_by_time
  on occurred_at >= from_at and occurred_at < until_at
where part.slice = 'failed attempts' and failed = 1;

-- The credentials that failed in a range, by status and code; count distinct ones. For a range that
-- is not over, the last failure of each says it.
create view failed_credentials as
select
  range_key       as range_key,
  window          as window,
  status_code     as status_code,
  code            as code,
  credential_id   as credential_id
from ranges
cross join last_failures as last
where not is_over
  and last_at >= starts_at
  and (
    last_at < ends_at
    -- Clocks may be wrong: a failure after the end says nothing of those before it.
    or exists (
      select 1
      from usage_events
      left join failure_details on failure_details.event_id = usage_events.id
      where usage_events.credential_id = last.credential_id
        and occurred_at >= starts_at
        and occurred_at < ends_at
        and failed = 1
        and coalesce(usage_events.status_code, 0) = last.status_code
        and coalesce(failure_details.code, '') = last.code
    )
  )
union all
select
  range_key                           as range_key,
  window                              as window,
  status_code                         as status_code,
  coalesce(failure_details.code, '')  as code,
  credential_id                       as credential_id
from (
  select
    *
  from ranges
  where is_over
) as ranges
cross join usage_events indexed by failed_events_by_time
  on occurred_at >= starts_at and occurred_at < ends_at
left join failure_details on failure_details.event_id = usage_events.id
where failed = 1;

-- Requests, failures, tokens and cost at list price of each window.
create view totals_by_window as
select
  windows.window                                                       as window,
  coalesce(sum(requests), 0)                                           as requests,
  coalesce(sum(failed), 0)                                             as failed,
  iif(count(failed) = count(cancelled), coalesce(sum(cancelled), 0), null) as cancelled,
  coalesce(sum(input_tokens), 0)                                       as input_tokens,
  coalesce(sum(cached_tokens), 0)                                      as cached_tokens,
  coalesce(sum(cache_write_tokens), 0)                                 as cache_write_tokens,
  coalesce(sum(output_tokens), 0)                                      as output_tokens,
  coalesce(sum(reasoning_tokens), 0)                                   as reasoning_tokens,
  coalesce(sum(unclassified_tokens), 0)                                as unclassified_tokens,
  coalesce(sum(input_tokens + output_tokens + unclassified_tokens), 0) as total_tokens,
  coalesce(sum(cost_microdollars) / 1e6, 0)                            as cost_dollars,
  coalesce(sum(saved_microdollars) / 1e6, 0)                           as saved_dollars,
  coalesce(sum(unpriced), 0)                                           as unpriced
from windows
left join usage_buckets
  on usage_buckets.window = windows.window
  and range_key is null
  and slice = 'total'
  and fine = 0
group by windows.window;

-- The same by account.
create view accounts_by_window as
select
  window                                                  as window,
  named_credentials.account                               as account,
  provider                                                as provider,
  named_credentials.account_id                            as account_id,
  sum(requests)                                           as requests,
  sum(failed)                                             as failed,
  iif(count(failed) = count(cancelled), coalesce(sum(cancelled), 0), null) as cancelled,
  sum(input_tokens)                                       as input_tokens,
  sum(cached_tokens)                                      as cached_tokens,
  sum(cache_write_tokens)                                 as cache_write_tokens,
  sum(output_tokens)                                      as output_tokens,
  sum(reasoning_tokens)                                   as reasoning_tokens,
  sum(unclassified_tokens)                                as unclassified_tokens,
  sum(input_tokens + output_tokens + unclassified_tokens) as total_tokens,
  sum(cost_microdollars) / 1e6                            as cost_dollars,
  sum(saved_microdollars) / 1e6                           as saved_dollars,
  sum(unpriced)                                           as unpriced
from usage_buckets
join named_credentials using (credential_id)
where range_key is null and slice = 'credential' and fine = 0
group by window, named_credentials.account_id
having sum(requests) > 0;

-- The same by model, as the upstream ran it.
create view models_by_window as
select
  window                                                  as window,
  known_models.name                                       as model,
  sum(requests)                                           as requests,
  sum(failed)                                             as failed,
  iif(count(failed) = count(cancelled), coalesce(sum(cancelled), 0), null) as cancelled,
  sum(input_tokens)                                       as input_tokens,
  sum(cached_tokens)                                      as cached_tokens,
  sum(cache_write_tokens)                                 as cache_write_tokens,
  sum(output_tokens)                                      as output_tokens,
  sum(reasoning_tokens)                                   as reasoning_tokens,
  sum(unclassified_tokens)                                as unclassified_tokens,
  sum(input_tokens + output_tokens + unclassified_tokens) as total_tokens,
  sum(cost_microdollars) / 1e6                            as cost_dollars,
  sum(saved_microdollars) / 1e6                           as saved_dollars,
  sum(unpriced)                                           as unpriced
from usage_buckets
join known_models on known_models.id = usage_buckets.model_id
where range_key is null and slice = 'model' and fine = 0
group by window, model_id
having sum(requests) > 0;

-- The same by client; keys with one name count together.
create view clients_by_window as
select
  window                                                  as window,
  named_clients.client                                    as client,
  sum(requests)                                           as requests,
  sum(failed)                                             as failed,
  iif(count(failed) = count(cancelled), coalesce(sum(cancelled), 0), null) as cancelled,
  sum(input_tokens)                                       as input_tokens,
  sum(cached_tokens)                                      as cached_tokens,
  sum(cache_write_tokens)                                 as cache_write_tokens,
  sum(output_tokens)                                      as output_tokens,
  sum(reasoning_tokens)                                   as reasoning_tokens,
  sum(unclassified_tokens)                                as unclassified_tokens,
  sum(input_tokens + output_tokens + unclassified_tokens) as total_tokens,
  sum(cost_microdollars) / 1e6                            as cost_dollars,
  sum(saved_microdollars) / 1e6                           as saved_dollars,
  sum(unpriced)                                           as unpriced
from usage_buckets
join named_clients using (client_id)
where range_key is null and slice = 'client' and fine = 0
group by window, named_clients.client
having sum(requests) > 0;

-- The same by local hour; an hour that a clock change repeats stands there twice.
create view hours_by_window as
select
  window                                                                  as window,
  strftime('%Y-%m-%d %H:00', local_at / 1000, 'unixepoch')                as hour,
  (local_at - bucket_at) / 60000                                          as utc_offset_minutes,
  sum(requests)                                                           as requests,
  sum(failed)                                                             as failed,
  iif(count(failed) = count(cancelled), coalesce(sum(cancelled), 0), null) as cancelled,
  sum(input_tokens)                                                       as input_tokens,
  sum(cached_tokens)                                                      as cached_tokens,
  sum(cache_write_tokens)                                                 as cache_write_tokens,
  sum(output_tokens)                                                      as output_tokens,
  sum(reasoning_tokens)                                                   as reasoning_tokens,
  sum(unclassified_tokens)                                                as unclassified_tokens,
  sum(input_tokens + output_tokens + unclassified_tokens)                 as total_tokens,
  sum(cost_microdollars) / 1e6                                            as cost_dollars,
  sum(saved_microdollars) / 1e6                                           as saved_dollars,
  sum(unpriced)                                                           as unpriced
from usage_buckets
where range_key is null and slice = 'total' and fine = 3
group by window, hour, utc_offset_minutes
having sum(requests) > 0;

-- The same by local day.
create view days_by_window as
select
  window                                                  as window,
  day                                                     as day,
  sum(requests)                                           as requests,
  sum(failed)                                             as failed,
  iif(count(failed) = count(cancelled), coalesce(sum(cancelled), 0), null) as cancelled,
  sum(input_tokens)                                       as input_tokens,
  sum(cached_tokens)                                      as cached_tokens,
  sum(cache_write_tokens)                                 as cache_write_tokens,
  sum(output_tokens)                                      as output_tokens,
  sum(reasoning_tokens)                                   as reasoning_tokens,
  sum(unclassified_tokens)                                as unclassified_tokens,
  sum(input_tokens + output_tokens + unclassified_tokens) as total_tokens,
  sum(cost_microdollars) / 1e6                            as cost_dollars,
  sum(saved_microdollars) / 1e6                           as saved_dollars,
  sum(unpriced)                                           as unpriced
from usage_buckets
join local_days
  on local_days.starts_at = (select max(starts_at) from local_days where starts_at <= bucket_at)
where range_key is null and slice = 'total' and fine = 3
group by window, day
having sum(requests) > 0;

-- Sums since the beginning, for counters that never go back: from day buckets, which outlive raw
-- events, and none while the rollups are being worked out anew. Kinds of tokens do not overlap.
-- A model that is not among the first hundred names the ledger has learnt is "other", for good.
create view usage_lifetime_totals as
with sums as (
  select
    proxy_id                                            as proxy_id,
    model_id                                            as model_id,
    sum(requests)                                       as requests,
    sum(failed)                                         as failed,
    sum(input_tokens - cached_tokens - cache_write_tokens) as input_tokens,
    sum(cached_tokens)                                  as cached_tokens,
    sum(cache_write_tokens)                             as cache_write_tokens,
    sum(output_tokens - reasoning_tokens)               as output_tokens,
    sum(reasoning_tokens)                               as reasoning_tokens,
    sum(unclassified_tokens)                            as unclassified_tokens,
    sum(cost_microdollars)                              as cost_microdollars,
    sum(unpriced)                                       as unpriced
  from model_rollup
  where resolution = 4
    and (
      select last_event_id >= (select coalesce(max(id), 0) from usage_events) from rollup_state
    )
  group by proxy_id, model_id
)
select
  proxies.name                                      as proxy,
  iif(model_id <= 100, known_models.name, 'other')  as model,
  sum(requests)                                     as requests,
  sum(failed)                                       as failed,
  sum(input_tokens)                                 as input_tokens,
  sum(cached_tokens)                                as cached_tokens,
  sum(cache_write_tokens)                           as cache_write_tokens,
  sum(output_tokens)                                as output_tokens,
  sum(reasoning_tokens)                             as reasoning_tokens,
  sum(unclassified_tokens)                          as unclassified_tokens,
  sum(cost_microdollars) / 1e6                      as cost_dollars,
  sum(unpriced)                                     as unpriced
from sums
join proxies on proxies.id = sums.proxy_id
join known_models on known_models.id = sums.model_id
group by 1, 2;

-- 4. Requests: single attempts

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
  coalesce(asked.name, known_models.name)                             as alias,
  named_clients.client                                                as client,
  known_endpoints.name                                                as endpoint,
  failed                                                              as failed,
  cancelled                                                           as cancelled,
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
  cost_microdollars / 1e6                                             as cost_dollars,
  cost_reason is not null                                             as unpriced,
  known_efforts.name                                                  as reasoning_effort,
  known_tiers.name                                                    as service_tier,
  answered.name                                                       as answered_tier,
  known_prices.model                                                  as price_model,
  price_rules.rule                                                    as price_rule,
  price_rules.tier                                                    as price_tier,
  cost_reasons.reason                                                 as cost_reason,
  warm_up                                                             as warm_up,
  request_id                                                          as request_id,
  named_credentials.auth_index                                        as auth_index,
  named_credentials.account_id                                        as account_id,
  coalesce(usage_events.client_id, 0)                                 as client_id,
  named_credentials.proxy                                             as proxy,
  coalesce(imports.origin, 'live')                                    as origin
from usage_events
join named_credentials on named_credentials.credential_id = usage_events.credential_id
join known_models on known_models.id = usage_events.model_id
left join known_models as asked on asked.id = usage_events.alias_id
left join named_clients on named_clients.client_id = coalesce(usage_events.client_id, 0)
left join known_endpoints on known_endpoints.id = usage_events.endpoint_id
left join known_efforts on known_efforts.id = usage_events.effort_id
left join known_tiers on known_tiers.id = usage_events.tier_id
left join known_tiers as answered on answered.id = usage_events.answered_tier_id
left join known_prices on known_prices.id = usage_events.price_id
left join price_rules on price_rules.id = usage_events.price_rule_id
left join cost_reasons on cost_reasons.id = usage_events.cost_reason
left join imports on imports.id = usage_events.import_id
left join failure_details on failure_details.event_id = usage_events.id
left join zone_offsets
  on zone_offsets.starts_at = (
    select max(starts_at) from zone_offsets where starts_at <= usage_events.occurred_at
  );

-- Why a cost is missing or incomplete, and what to do: the numbers that events have.
create view cost_reasons as
with reasons (id, reason, remedy) as (
  values
    (1, 'no price', 'set a price in prices, then run: .venv/bin/python -m ledger reprice'),
    (2, 'no usage', 'the proxy reported no tokens of a success: nothing can be done'),
    (3, 'unclassified', 'only the total of the tokens is known: nothing can be done'),
    (4, 'partly unclassified', 'the cost covers the tokens whose kind is known'),
    (5, 'unit', 'not billed by the token: set a request price, then reprice')
)
select
  id      as id,
  reason  as reason,
  remedy  as remedy
from reasons;

-- Models whose cost is missing or incomplete everywhere. The reasons are those of the events that
-- are kept, each by one look into an index of such events.
create view unpriced_models as
select
  totals.model                                      as model,
  totals.requests                                   as requests,
  totals.last_day_utc                               as last_day_utc,
  group_concat(cost_reasons.reason, ', ')           as reason,
  group_concat(cost_reasons.remedy, '; ')           as remedy
from (
  select
    model_id                                        as model_id,
    known_models.name                               as model,
    sum(unpriced)                                   as requests,
    datetime(max(bucket_at) / 1000, 'unixepoch')    as last_day_utc
  from model_rollup
  join known_models on known_models.id = model_rollup.model_id
  where resolution = 4 and unpriced > 0
  group by model_id
) as totals
left join cost_reasons
  on exists (
    select 1
    from usage_events indexed by events_without_cost
    where cost_reason = cost_reasons.id
      and cost_reason is not null
      and usage_events.model_id = totals.model_id
  )
group by totals.model_id;

-- 5. Health: workers, gaps, accounting, integrity

-- A worker whose heartbeat is older than two minutes is silent, whatever it reported last.
create view worker_states as
select
  worker                                      as worker,
  role                                        as role,
  proxies.name                                as proxy,
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
left join proxies on proxies.id = heartbeats.proxy_id
cross join clock;

-- By the hour of reception, not of the event.
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

-- Whether a gap exceeded the proxy's retention is stored when it ends; an open one may exceed it
-- meanwhile. A proxy that did not tell its retention is taken to have the default of a minute.
create view collection_gaps as
select
  gaps.id                                             as gap_id,
  gaps.proxy_id                                       as proxy_id,
  proxies.name                                        as proxy,
  gaps.started_at                                     as started_at,
  gaps.ended_at                                       as ended_at,
  datetime(gaps.started_at / 1000, 'unixepoch')       as started_utc,
  datetime(gaps.ended_at / 1000, 'unixepoch')         as ended_utc,
  (coalesce(gaps.ended_at, clock.now) - gaps.started_at) / 1000 as seconds,
  gaps.ended_at is null                               as open,
  gaps.cause                                          as cause,
  gaps.detail                                         as detail,
  iif(
    gaps.ended_at is null,
    clock.now - gaps.started_at > 1000 * coalesce(proxies.retention_seconds, 60),
    gaps.retention_exceeded
  )                                                   as retention_exceeded,
  gaps.batches_at_risk                                as batches_at_risk
from gaps
join proxies on proxies.id = gaps.proxy_id
cross join clock;

-- An estimate by the rates of the hour before and the hour after, in quarter hours, since these
-- are kept for ever. Events can be missing only where the proxy dropped them, where it died with
-- them, or where a batch was cut off.
create view gap_estimates as
with bounds as (
  select
    collection_gaps.*,
    proxies.first_pop_at                                      as first_pop_at,
    clock.now                                                 as now,
    coalesce(ended_at, clock.now)                             as until_at,
    started_at - started_at % 900000                          as first_quarter_at,
    (coalesce(ended_at, clock.now) + 899999) / 900000 * 900000 as next_quarter_at
  from collection_gaps
  join proxies on proxies.id = collection_gaps.proxy_id
  cross join clock
),
hours as (
  select
    *,
    max(first_quarter_at - 3600000, coalesce(first_pop_at, started_at)) as before_from,
    min(next_quarter_at + 3600000, now - now % 900000)                  as after_until
  from bounds
),
counts as (
  select
    *,
    max(first_quarter_at - before_from, 0) + max(after_until - next_quarter_at, 0) as around_ms,
    (
      select coalesce(sum(requests), 0)
      from total_rollup
      where resolution = 2
        and total_rollup.proxy_id = hours.proxy_id
        and (
          bucket_at >= before_from - 899999 and bucket_at < first_quarter_at
          or bucket_at >= next_quarter_at and bucket_at < after_until
        )
        and bucket_at >= first_quarter_at - 3600000
        and bucket_at < next_quarter_at + 3600000
    ) as around,
    (
      select coalesce(sum(requests), 0)
      from total_rollup
      where resolution = 2
        and total_rollup.proxy_id = hours.proxy_id
        and bucket_at >= first_quarter_at + 900000
        and bucket_at < next_quarter_at - 900000
    ) + (
      select count(*)
      from usage_events
      join credentials on credentials.id = usage_events.credential_id
      where credentials.proxy_id = hours.proxy_id
        and occurred_at >= started_at
        and occurred_at < min(until_at, first_quarter_at + 900000)
    ) + (
      select count(*)
      from usage_events
      join credentials on credentials.id = usage_events.credential_id
      where credentials.proxy_id = hours.proxy_id
        and occurred_at >= max(first_quarter_at + 900000, next_quarter_at - 900000)
        and occurred_at < until_at
    ) as recorded
  from hours
),
estimates as (
  select
    *,
    cast(round(around * 1.0 * (until_at - started_at) / nullif(around_ms, 0)) as integer)
      as expected
  from counts
)
select
  gap_id                                              as gap_id,
  proxy_id                                            as proxy_id,
  proxy                                               as proxy,
  started_at                                          as started_at,
  ended_at                                            as ended_at,
  started_utc                                         as started_utc,
  ended_utc                                           as ended_utc,
  seconds                                             as seconds,
  open                                                as open,
  cause                                               as cause,
  detail                                              as detail,
  retention_exceeded                                  as retention_exceeded,
  batches_at_risk                                     as batches_at_risk,
  round(around * 3600000.0 / nullif(around_ms, 0), 1) as requests_per_hour_around,
  expected                                            as expected,
  recorded                                            as recorded,
  iif(
    not retention_exceeded
      and batches_at_risk = 0
      and cause not in ('proxy away', 'connection lost', 'collector killed'),
    0,
    max(0, expected - recorded)
  )                                                   as maybe_missing
from estimates;

-- A run without an end was interrupted, or goes on.
create view import_runs as
select
  imports.id                                                        as id,
  imports.file                                                      as file,
  imports.origin                                                    as origin,
  proxies.name                                                      as proxy,
  datetime(imports.started_at / 1000, 'unixepoch')                  as started_utc,
  (imports.finished_at - imports.started_at) / 1000.0               as seconds,
  date(imports.first_at / 1000, 'unixepoch')                        as first_day_utc,
  date(imports.last_at / 1000, 'unixepoch')                         as last_day_utc,
  imports.received                                                  as received,
  imports.stored                                                    as stored,
  imports.duplicate                                                 as duplicate,
  imports.improved                                                  as improved,
  imports.rejected                                                  as rejected
from imports
join proxies on proxies.id = imports.proxy_id;

-- Also what /export/rejected_records writes.
create view rejected_records as
select
  rejected_events.id                                          as id,
  datetime(received_at / 1000, 'unixepoch')                   as received_utc,
  proxies.name                                                as proxy,
  reason                                                      as reason,
  form                                                        as form,
  record                                                      as record,
  length(record)                                              as characters,
  replayed_at is not null                                     as replayed,
  datetime(replayed_at / 1000, 'unixepoch')                   as replayed_utc
from rejected_events
join proxies on proxies.id = rejected_events.proxy_id;

-- Sums outlive single events, so that the first event may be known by its day alone; while all
-- events are kept, the first one has the exact time.
create view ledger_overview as
select
  clock.now                                                        as now,
  (select value from settings where name = 'timezone')             as timezone,
  iif(
    days.first_day_at < (select min(occurred_at) from usage_events) - 86400000,
    days.first_day_at,
    (select min(occurred_at) from usage_events)
  )                                                                as first_event_at,
  (select max(occurred_at) from usage_events)                      as last_event_at,
  (select min(first_pop_at) from proxies)                          as collecting_since
from clock
cross join (select min(bucket_at) as first_day_at from total_rollup where resolution = 4) as days;

-- The sums of each rollup at every resolution that is kept for ever, over the time of which raw
-- events are kept. A rollup without rows has nulls, so that it is compared too.
create view rollup_sums as
with complete (from_at) as (
  select raw_complete_from from rollup_state
),
kept (rollup, resolution) as (
  values
    ('total_rollup', 2),
    ('total_rollup', 4),
    ('model_rollup', 2),
    ('model_rollup', 4),
    ('client_rollup', 2),
    ('client_rollup', 4),
    ('credential_rollup', 3),
    ('credential_rollup', 4),
    ('credential_model_rollup', 4),
    ('client_model_rollup', 4)
),
sums as (
  select
    'total_rollup'           as rollup,
    resolution                    as resolution,
    sum(requests)            as requests,
    sum(failed)              as failed,
    sum(input_tokens)        as input_tokens,
    sum(cached_tokens)       as cached_tokens,
    sum(output_tokens)       as output_tokens,
    sum(unclassified_tokens) as unclassified_tokens,
    sum(cost_microdollars)   as cost_microdollars,
    sum(unpriced)            as unpriced
  from total_rollup
  where resolution in (2, 4) and bucket_at >= (select from_at from complete)
  group by resolution
  union all
  select
    'model_rollup', resolution, sum(requests), sum(failed), sum(input_tokens), sum(cached_tokens),
    sum(output_tokens), sum(unclassified_tokens), sum(cost_microdollars), sum(unpriced)
  from model_rollup
  where resolution in (2, 4) and bucket_at >= (select from_at from complete)
  group by resolution
  union all
  select
    'client_rollup', resolution, sum(requests), sum(failed), sum(input_tokens), sum(cached_tokens),
    sum(output_tokens), sum(unclassified_tokens), sum(cost_microdollars), sum(unpriced)
  from client_rollup
  where resolution in (2, 4) and bucket_at >= (select from_at from complete)
  group by resolution
  union all
  select
    'credential_rollup', resolution, sum(requests), sum(failed), sum(input_tokens), sum(cached_tokens),
    sum(output_tokens), sum(unclassified_tokens), sum(cost_microdollars), sum(unpriced)
  from credential_rollup
  where resolution in (3, 4) and bucket_at >= (select from_at from complete)
  group by resolution
  union all
  select
    'credential_model_rollup', resolution, sum(requests), sum(failed), sum(input_tokens), sum(cached_tokens),
    sum(output_tokens), sum(unclassified_tokens), sum(cost_microdollars), sum(unpriced)
  from credential_model_rollup
  where resolution = 4 and bucket_at >= (select from_at from complete)
  group by resolution
  union all
  select
    'client_model_rollup', resolution, sum(requests), sum(failed), sum(input_tokens), sum(cached_tokens),
    sum(output_tokens), sum(unclassified_tokens), sum(cost_microdollars), sum(unpriced)
  from client_model_rollup
  where resolution = 4 and bucket_at >= (select from_at from complete)
  group by resolution
)
select
  kept.rollup          as rollup,
  kept.resolution           as resolution,
  requests             as requests,
  failed               as failed,
  input_tokens         as input_tokens,
  cached_tokens        as cached_tokens,
  output_tokens        as output_tokens,
  unclassified_tokens  as unclassified_tokens,
  cost_microdollars    as cost_microdollars,
  unpriced             as unpriced
from kept
left join sums using (rollup, resolution);

-- The same of the histograms of latency: successful attempts that are no warm-up have a duration,
-- streamed ones also a time to the first token.
create view histogram_sums as
with complete (from_at) as (
  select raw_complete_from from rollup_state
)
select
  'latency_rollup'                             as rollup,
  kept.column1                                 as resolution,
  coalesce(sum(iif(kind = 1, requests, 0)), 0) as timed,
  coalesce(sum(iif(kind = 2, requests, 0)), 0) as streamed
from (values (3), (4)) as kept
left join latency_rollup
  on resolution = kept.column1 and bucket_at >= (select from_at from complete)
group by kept.column1
union all
select
  'model_latency_rollup',
  kept.column1,
  coalesce(sum(iif(kind = 1, requests, 0)), 0),
  coalesce(sum(iif(kind = 2, requests, 0)), 0)
from (values (4), (5)) as kept
left join model_latency_rollup
  on resolution = kept.column1 and bucket_at >= (select from_at from complete)
group by kept.column1;

-- Every rollup against the raw events. The numbers are requests, failures, input, cached, output
-- and unclassified tokens, micro-dollars and attempts without a price; of histograms, attempts
-- with a duration and with a time to the first token.
create view rollup_checks as
with raw as materialized (
  select
    count(*)                                as requests,
    sum(failed)                             as failed,
    sum(input_tokens)                       as input_tokens,
    sum(cached_tokens)                      as cached_tokens,
    sum(output_tokens)                      as output_tokens,
    sum(unclassified_tokens)                as unclassified_tokens,
    sum(coalesce(cost_microdollars, 0))     as cost_microdollars,
    sum(cost_reason is not null)          as unpriced,
    count(iif(not failed and not warm_up, latency_ms, null)) as timed,
    count(iif(not failed and not warm_up, ttft_ms, null))    as streamed
  from usage_events
  where id <= (select last_event_id from rollup_state)
    and occurred_at >= (select raw_complete_from from rollup_state)
)
select
  sums.rollup || ' = events, by ' || resolutions.name as question,
  printf(
    '%d %d %d %d %d %d %d %d', raw.requests, raw.failed, raw.input_tokens, raw.cached_tokens,
    raw.output_tokens, raw.unclassified_tokens, raw.cost_microdollars, raw.unpriced
  )                                              as expected,
  printf(
    '%d %d %d %d %d %d %d %d', sums.requests, sums.failed, sums.input_tokens,
    sums.cached_tokens, sums.output_tokens, sums.unclassified_tokens, sums.cost_microdollars,
    sums.unpriced
  )                                              as actual
from rollup_sums as sums
join resolutions on resolutions.resolution = sums.resolution
cross join raw
union all
select
  sums.rollup || ' = events, by ' || resolutions.name,
  printf('%d %d', raw.timed, raw.streamed),
  printf('%d %d', sums.timed, sums.streamed)
from histogram_sums as sums
join resolutions on resolutions.resolution = sums.resolution
cross join raw;

-- The requests of each proxy by each rollup that knows proxies, over all time: a rollup of one
-- dimension against that of credentials, which belong to one proxy each.
create view proxy_checks as
with requests (rollup, compared_with, proxy_id, requests) as (
  select 'credential_rollup', null, proxy_id, sum(requests)
  from credential_rollup
  join credentials on credentials.id = credential_rollup.credential_id
  where resolution = 4
  group by proxy_id
  union all
  select 'total_rollup', 'credential_rollup', proxy_id, sum(requests)
  from total_rollup
  where resolution = 4
  group by proxy_id
  union all
  select 'model_rollup', 'credential_rollup', proxy_id, sum(requests)
  from model_rollup
  where resolution = 4
  group by proxy_id
  union all
  select 'client_rollup', 'credential_rollup', proxy_id, sum(requests)
  from client_rollup
  where resolution = 4
  group by proxy_id
  union all
  select 'client_model_rollup', 'credential_rollup', proxy_id, sum(requests)
  from client_model_rollup
  where resolution = 4
  group by proxy_id
  union all
  select 'latency_rollup', null, proxy_id, sum(requests)
  from latency_rollup
  where resolution = 4
  group by proxy_id
  union all
  select 'model_latency_rollup', 'latency_rollup', proxy_id, sum(requests)
  from model_latency_rollup
  where resolution = 4
  group by proxy_id
),
lists as (
  select
    rollup                                           as rollup,
    compared_with                                    as compared_with,
    group_concat(proxy_id || ': ' || requests, ', ') as requests
  from (select * from requests order by rollup, proxy_id)
  group by rollup
)
select
  lists.rollup || ' = ' || others.rollup || ', of each proxy' as question,
  others.requests                                             as expected,
  lists.requests                                              as actual
from lists
join lists as others on others.rollup = lists.compared_with;

-- Every record that was received against what became of it.
create view accounting_checks as
select
  'received = stored + duplicate + rejected'      as question,
  coalesce(sum(received), 0)                      as expected,
  coalesce(sum(stored + duplicate + rejected), 0) as actual
from ingest_ledger
union all
select
  'received = stored + duplicate + rejected, of imports',
  coalesce(sum(received), 0),
  coalesce(sum(stored + duplicate + rejected), 0)
from imports
union all
select
  'stored = events in the ledger and events deleted for their age',
  (select coalesce(sum(stored), 0) from ingest_ledger)
    + (select coalesce(sum(stored), 0) from imports),
  (select count(*) from usage_events) + (select events_deleted from rollup_state)
union all
select
  'rejected = rejected records kept',
  (select coalesce(sum(rejected), 0) from ingest_ledger),
  (select count(*) from rejected_events)
union all
select
  'replayed records = rejected records marked as replayed',
  (select coalesce(sum(received), 0) from ingest_ledger where source = 'replay'),
  (select count(*) from rejected_events where replayed_at is not null)
union all
select
  'failed events = failure details kept',
  (select count(*) from usage_events where failed = 1),
  (select count(*) from failure_details)
union all
select
  'every event is in the rollups',
  last_event_id,
  (select coalesce(max(id), 0) from usage_events)
from rollup_state
union all
select
  'no rollup without its credential, model or client',
  0,
  (select count(*) from credential_rollup
    where credential_id not in (select id from credentials))
  + (select count(*) from model_rollup where model_id not in (select id from known_models))
  + (select count(*) from client_rollup
    where client_id <> 0 and client_id not in (select id from known_clients));

-- A check over all events takes longer than a page may on a large ledger.
create view integrity_checks as
with checks as (
  select question, expected, actual from proxy_checks
  union all
  select question, expected, actual from accounting_checks
  union all
  select question, expected, actual from rollup_checks
)
select
  question                                as question,
  iif(expected = actual, 'ok', 'WRONG')   as result,
  cast(expected as text)                  as expected,
  cast(actual as text)                    as actual,
  expected = actual                       as holds
from checks;

-- What the proxy counted of each credential in each of its runs beside what was stored of it, without
-- names.
create view counted_attempts as
with readings as (
  select
    proxy_id                                as proxy_id,
    since_at                                as since_at,
    auth_index                              as auth_index,
    counted - first_counted                 as counted,
    stored - stored_late                    as stored_least,
    stored + stored_early                   as stored_most
  from counter_readings
)
select
  proxy_id                                            as proxy_id,
  since_at                                            as since_at,
  auth_index                                          as auth_index,
  counted                                             as counted,
  min(max(counted, stored_least), stored_most)        as stored,
  max(0, counted - stored_most)                       as missing
from readings;

-- Both numbers are of the time since the first reading of the run. What is stored between a reading
-- and the next empty pop may or may not be in the proxy's number. A credential of which the ledger
-- knows nothing has no account.
create view proxy_counts as
select
  readings.proxy_id                                                   as proxy_id,
  proxies.name                                                        as proxy,
  readings.since_at                                                   as since_at,
  proxy_runs.read_at                                                  as read_at,
  datetime(readings.since_at / 1000, 'unixepoch')                     as since_utc,
  datetime(proxy_runs.read_at / 1000, 'unixepoch')                    as read_utc,
  readings.since_at = max(readings.since_at) over (partition by readings.proxy_id) as current,
  auth_index                                                          as auth_index,
  (
    select min(named_credentials.account)
    from named_credentials
    where named_credentials.proxy_id = readings.proxy_id
      and named_credentials.auth_index = readings.auth_index
  )                                                                   as account,
  counted                                                             as counted,
  stored                                                              as stored,
  missing                                                             as missing
from counted_attempts as readings
join proxies on proxies.id = readings.proxy_id
join proxy_runs
  on proxy_runs.proxy_id = readings.proxy_id and proxy_runs.since_at = readings.since_at;

-- The proxy publishes no event for a few cancelled streams and answers without usage, so that up to
-- one attempt in twenty may be missing without a finding.
create view proxy_run_counts as
with sums as (
  select
    proxy_runs.proxy_id                       as proxy_id,
    proxies.name                              as proxy,
    proxies.statistics_enabled                as statistics_enabled,
    proxy_runs.since_at                       as since_at,
    proxy_runs.read_at                        as read_at,
    last_counted                              as last_counted,
    last_stored                               as last_stored,
    proxy_runs.since_at = (
      select max(since_at) from proxy_runs as newest where newest.proxy_id = proxy_runs.proxy_id
    )                                         as current,
    coalesce(sum(counted), 0)                 as counted,
    coalesce(sum(stored), 0)                  as stored,
    coalesce(sum(missing), 0)                 as missing,
    (
      select count(*)
      from rejected_events
      where rejected_events.proxy_id = proxy_runs.proxy_id
        and replayed_at is null
        and received_at >= proxy_runs.since_at
        and received_at <= proxy_runs.read_at
    )                                         as rejected
  from proxy_runs
  join proxies on proxies.id = proxy_runs.proxy_id
  left join counted_attempts
    on counted_attempts.proxy_id = proxy_runs.proxy_id
    and counted_attempts.since_at = proxy_runs.since_at
    and (
      counted_attempts.counted > 0
      -- Not the name of the account, which costs more.
      or exists (
        select 1
        from credentials
        where credentials.proxy_id = counted_attempts.proxy_id
          and credentials.auth_index = counted_attempts.auth_index
      )
    )
  group by proxy_runs.proxy_id, proxy_runs.since_at
),
compared as (
  select
    *,
    missing - rejected > 5 and (missing - rejected) * 20 > counted as is_missing,
    datetime((since_at + coalesce((
      select offset_ms
      from zone_offsets
      where zone_offsets.starts_at <= since_at
      order by zone_offsets.starts_at desc
      limit 1
    ), 0)) / 1000, 'unixepoch')               as since_local
  from sums
),
findings as (
  select
    *,
    case
      when statistics_enabled = 0 then 'statistics off'
      when current and last_counted >= 5 and last_stored = 0 then 'taken'
      when is_missing then 'missing'
      else 'ok'
    end as finding
  from compared
)
select
  proxy                                       as proxy,
  since_at                                    as since_at,
  read_at                                     as read_at,
  current                                     as current,
  counted                                     as counted,
  stored                                      as stored,
  min(rejected, missing)                      as rejected,
  missing - min(rejected, missing)            as missing,
  finding                                     as finding,
  iif(
    finding = 'taken',
    'another program is taking events from this queue: in the last minute the proxy counted '
      || last_counted || ' attempts and the ledger got none; since ',
    'since '
  )
    || since_local || ' the proxy counted ' || printf('%,d', counted)
    || ' attempts; the ledger has ' || printf('%,d', stored)
    || iif(rejected > 0 and missing > 0, ' and ' || min(rejected, missing) || ' rejected records', '')
    || case
         when finding = 'statistics off' then ' (its statistics are off)'
         when is_missing
           then ': ' || printf('%,d', missing - rejected)
             || ' are missing, lost in a gap or taken by another program'
         when missing > rejected
           then ' (the proxy publishes no event for some cancelled streams)'
         else ''
       end                                    as sentence
from findings;

-- Events dated before 2024, when there was no proxy yet, or ten minutes and more in the future.
create view clock_skew as
select
  'past'                                                               as side,
  (select count(*) from usage_events where occurred_at < 1704067200000) as events
union all
select
  'future',
  (select count(*) from usage_events where occurred_at > clock.now + 600000)
from clock;

-- For counters that only grow: nothing here is limited to a window.
create view collection_lifetime_totals as
with records as (
  select
    proxy_id        as proxy_id,
    sum(received)   as received,
    sum(stored)     as stored,
    sum(duplicate)  as duplicate,
    sum(rejected)   as rejected
  from ingest_ledger
  group by proxy_id
),
interruptions as (
  select
    proxy_id              as proxy_id,
    count(*)              as gaps,
    sum(batches_at_risk)  as batches_at_risk
  from gaps
  group by proxy_id
)
select
  proxies.name                                as proxy,
  coalesce(records.received, 0)               as received,
  coalesce(records.stored, 0)                 as stored,
  coalesce(records.duplicate, 0)              as duplicate,
  coalesce(records.rejected, 0)               as rejected,
  coalesce(interruptions.gaps, 0)             as gaps,
  coalesce(interruptions.batches_at_risk, 0)  as batches_at_risk,
  proxies.last_pop_at                         as last_pop_at
from proxies
left join records on records.proxy_id = proxies.id
left join interruptions on interruptions.proxy_id = proxies.id;

-- 6. Quota: limits, verdicts, forecasts, history

-- From this age on, in ms, an observation is no ground for "usable".
create view quota_staleness as
select
  coalesce(
    (select cast(value as integer) from settings where name = 'quota_stale_ms'),
    3600000
  ) as stale_ms;

-- Accounts with a credential file, and those that only events name, seen within a week. Accounts
-- whose credential files are gone are left out.
create view account_poll_states as
select
  named_accounts.account_id                          as account_id,
  named_accounts.account                             as account,
  named_accounts.provider                            as provider,
  quota_accounts.plan_raw                            as plan,
  quota_accounts.plan_source                         as plan_source,
  coalesce(quota_accounts.state, 'never')            as state,
  coalesce(quota_accounts.disabled, 0)               as disabled,
  quota_accounts.observed_at                         as observed_at,
  quota_accounts.allowed                             as allowed,
  quota_accounts.limit_reached                       as limit_reached,
  quota_accounts.reached_type                        as reached_type,
  quota_accounts.credits_has                         as credits_has,
  quota_accounts.credits_unlimited                   as credits_unlimited,
  quota_accounts.credits_balance                     as credits_balance,
  quota_accounts.reset_credits                       as reset_credits,
  quota_accounts.token_expires_at                    as token_expires_at,
  quota_accounts.subscription_until                  as subscription_until,
  case
    when quota_accounts.cooldown_until > clock.now then quota_accounts.cooldown_until
  end                                                as cooldown_until,
  quota_accounts.source                              as asked_by,
  quota_accounts.http_status                         as http_status,
  quota_accounts.error_code                          as error_code,
  quota_accounts.error_text                          as error_text,
  coalesce(quota_accounts.consecutive_failures, 0)   as failures,
  quota_accounts.last_attempt_at                     as last_attempt_at,
  quota_accounts.last_success_at                     as last_success_at,
  quota_accounts.next_attempt_at                     as next_attempt_at
from named_accounts
cross join clock
left join quota_accounts on quota_accounts.account_id = named_accounts.account_id
where exists (
    select 1 from credential_files where account_id = named_accounts.account_id
  )
  or (
    quota_accounts.source is null
    and exists (
      select 1
      from credentials
      join usage_events on usage_events.credential_id = credentials.id
      where credentials.account_id = named_accounts.account_id
        and usage_events.occurred_at > clock.now - 604800000
    )
  );

-- A window that has reset since it was observed is rolled over: its percentage is of the past, and
-- left_percent is null, which always means unknown.
create view quota_window_states as
with windows as (
  select
    account_poll_states.account_id                    as account_id,
    account_poll_states.account                       as account,
    account_poll_states.provider                      as provider,
    account_poll_states.plan                          as plan,
    quota_windows.id                                  as window_id,
    quota_windows.scope                               as scope,
    quota_windows.scope_key                           as scope_key,
    quota_windows.window_key                          as window_key,
    quota_windows.label                               as label,
    quota_windows.window_seconds                      as window_seconds,
    quota_windows.used_percent                        as used_percent,
    quota_windows.used_value                          as used_value,
    quota_windows.limit_value                         as limit_value,
    quota_windows.unit                                as unit,
    quota_windows.resets_at                           as resets_at,
    quota_windows.started                             as started,
    quota_windows.limit_reached                       as limit_reached,
    quota_windows.gating                              as gating,
    quota_windows.assumed                             as assumed,
    quota_windows.source                              as source,
    quota_windows.observed_at                         as observed_at,
    clock.now                                         as now,
    coalesce(quota_windows.resets_at <= clock.now, 0) as rolled_over
  -- A cross join keeps the accounts outermost: each has several windows.
  from account_poll_states
  cross join clock
  cross join quota_windows on quota_windows.account_id = account_poll_states.account_id
  where quota_windows.retired_at is null
),
evaluated as (
  select
    *,
    case
      when used_percent is null or rolled_over then null
      else min(max(100 - used_percent, 0.0), 100.0)
    end as left_percent,
    -- As cases: `or` and `and` compute both sides, and so every subquery.
    case
      when used_percent >= 100 then 1
      when coalesce(limit_reached, 0) = 0 then 0
      -- A model that is unavailable has no percentage.
      when scope = 'model' and used_percent is null then 1
      when gating = 0 then 0
      -- Each window of a limit has the limit's flag, which accuses a window only where it is alone.
      -- No window function: conditions of the reader must reach the table.
      else 1 = (
        select count(*)
        from quota_windows as others
        where others.account_id = windows.account_id
          and others.scope = windows.scope
          and others.scope_key = windows.scope_key
          and others.retired_at is null
          and others.gating = 1
          and others.limit_reached = 1
      )
    end as spent
  from windows
)
select
  account_id                                          as account_id,
  account                                             as account,
  provider                                            as provider,
  plan                                                as plan,
  window_id                                           as window_id,
  scope                                               as scope,
  scope_key                                           as scope_key,
  window_key                                          as window_key,
  label                                               as label,
  window_seconds                                      as window_seconds,
  used_percent                                        as used_percent,
  left_percent                                        as left_percent,
  used_value                                          as used_value,
  limit_value                                         as limit_value,
  unit                                                as unit,
  resets_at                                           as resets_at,
  started                                             as started,
  limit_reached                                       as limit_reached,
  gating                                              as gating,
  assumed                                             as assumed,
  source                                              as source,
  observed_at                                         as observed_at,
  (now - observed_at) / 1000                          as age_seconds,
  now - observed_at > quota_staleness.stale_ms        as stale,
  rolled_over                                         as rolled_over,
  spent                                               as spent,
  -- A provider may need two minutes after a reset before it answers again.
  spent and not coalesce(resets_at + 120000 <= now, 0) as blocking,
  left_percent / ((resets_at - now) / 3600000.0)      as left_per_hour
from evaluated
cross join quota_staleness;

-- The windows as people read them, in words and local time.
create view limit_states as
select
  states.account_id                                   as account_id,
  states.window_id                                    as window_id,
  states.account                                      as account,
  states.provider                                     as provider,
  account_proxies.proxy                               as proxy,
  coalesce(states.plan, 'unknown')                    as plan,
  states.label                                        as limit_name,
  states.window_seconds                               as window_seconds,
  states.used_percent                                 as used_percent,
  states.left_percent                                 as left_percent,
  case
    when rolled_over then 'rolled over, refresh pending'
    when started = 0 then 'not started'
    when used_percent is null then iif(blocking, 'used up', 'unknown')
    when stale then 'stale'
    when blocking then 'used up'
    else 'current'
  end                                                 as state,
  case
    when not rolled_over and started is not 0
      then datetime((resets_at + coalesce(offset_ms, 0)) / 1000, 'unixepoch')
  end                                                 as resets_local,
  case
    when rolled_over or started = 0 then null
    when resets_at - now >= 86400000
      then ((resets_at - now) / 86400000) || ' d '
        || ((resets_at - now) / 3600000 % 24) || ' h'
    when resets_at - now >= 3600000
      then ((resets_at - now) / 3600000) || ' h '
        || ((resets_at - now) / 60000 % 60) || ' min'
    else ((resets_at - now) / 60000) || ' min'
  end                                                 as resets_in,
  states.resets_at                                    as resets_at,
  states.age_seconds                                  as age_seconds,
  states.source                                       as source,
  states.gating                                       as gating,
  states.used_value                                   as used_value,
  states.limit_value                                  as limit_value,
  states.unit                                         as unit,
  states.left_per_hour                                as left_per_hour
from quota_window_states as states
cross join clock
left join account_proxies on account_proxies.account_id = states.account_id
left join zone_offsets
  on zone_offsets.starts_at <= resets_at and resets_at < zone_offsets.ends_at;

-- Can an account be used now, for each group of models that has limits of its own ('' for an
-- account without groups): usable is 1, 0 or null for unknown, with the reason. The quota worker
-- decides; before decided_at and from valid_until on its verdict is stale, and unknown.
create view group_verdicts as
with timed as (
  select
    account_poll_states.account_id                      as account_id,
    account_poll_states.account                         as account,
    account_poll_states.provider                        as provider,
    account_poll_states.plan                            as plan,
    coalesce(quota_verdicts.group_name, '')           as group_name,
    account_poll_states.state                           as state,
    quota_verdicts.usable                             as usable,
    quota_verdicts.reason                             as reason,
    quota_verdicts.effective_left                     as effective_left,
    quota_verdicts.next_usable_at                     as next_usable_at,
    quota_verdicts.blocked_by                         as blocked_by,
    account_poll_states.cooldown_until                  as cooldown_until,
    quota_verdicts.observed_at                        as observed_at,
    quota_verdicts.decided_at                         as decided_at,
    quota_verdicts.valid_until                        as valid_until,
    clock.now                                         as now,
    -- A clock that was set back makes verdicts of the future; clocks differ by moments.
    coalesce(
      clock.now >= quota_verdicts.decided_at - 5000 and clock.now < quota_verdicts.valid_until, 0
    )                                                 as valid
  from account_poll_states
  cross join clock
  left join quota_verdicts on quota_verdicts.account_id = account_poll_states.account_id
)
select
  account_id                                          as account_id,
  account                                             as account,
  provider                                            as provider,
  plan                                                as plan,
  group_name                                          as group_name,
  state                                               as state,
  case when valid then usable end                     as usable,
  case
    when valid then reason
    when decided_at is null then 'not_decided'
    else 'verdict_stale'
  end                                                 as reason,
  case when valid then effective_left end             as effective_left,
  case when valid then next_usable_at end             as next_usable_at,
  case when valid then blocked_by end                 as blocked_by,
  cooldown_until                                      as cooldown_until,
  observed_at                                         as observed_at,
  (now - observed_at) / 1000                          as age_seconds,
  decided_at                                          as decided_at,
  valid_until                                         as valid_until
from timed;

-- In the order to use accounts: sort_group and sort_value are those of the account's best group,
-- usable by most left, then blocked by soonest return, then unknown and closed. Rank 1 is the best
-- of an account's groups.
create view ranked_verdicts as
with sortable as (
  select
    *,
    case when usable = 1 then 0 when usable is null then 1 else 2 end as usable_order,
    case
      when usable is null or reason in ('disabled', 'needs_login', 'deactivated') then 2
      when usable = 1 then 0
      else 1
    end as own_group,
    case
      when usable is null or reason in ('disabled', 'needs_login', 'deactivated') then 0.0
      when usable = 1 then -coalesce(effective_left, 0.0)
      else coalesce(next_usable_at, 9e999)
    end as own_value
  from group_verdicts
)
select
  account_id                                          as account_id,
  account                                             as account,
  provider                                            as provider,
  plan                                                as plan,
  group_name                                          as group_name,
  state                                               as state,
  usable                                              as usable,
  reason                                              as reason,
  effective_left                                      as effective_left,
  next_usable_at                                      as next_usable_at,
  blocked_by                                          as blocked_by,
  cooldown_until                                      as cooldown_until,
  observed_at                                         as observed_at,
  age_seconds                                         as age_seconds,
  row_number() over best                              as rank,
  case when state = 'token_expired' then 2 else first_value(own_group) over best end
                                                      as sort_group,
  case when state = 'token_expired' then 0.0 else first_value(own_value) over best end
                                                      as sort_value,
  group_concat(
    group_name || ': ' || case usable when 1 then 'yes' when 0 then 'no' else 'unknown' end, ', '
  ) over (partition by account_id)                    as groups,
  own_group                                           as own_group,
  own_value                                           as own_value
from sortable
window best as (
  partition by account_id
  order by usable_order, own_group, own_value, group_name
);

-- An account is as usable as the best of its groups.
create view account_verdicts as
select
  account_id                                          as account_id,
  account                                             as account,
  provider                                            as provider,
  plan                                                as plan,
  state                                               as state,
  usable                                              as usable,
  reason                                              as reason,
  effective_left                                      as effective_left,
  next_usable_at                                      as next_usable_at,
  blocked_by                                          as blocked_by,
  case when group_name <> '' then groups end          as groups,
  cooldown_until                                      as cooldown_until,
  observed_at                                         as observed_at,
  age_seconds                                         as age_seconds,
  sort_group                                          as sort_group,
  sort_value                                          as sort_value
from ranked_verdicts
where rank = 1;

-- The verdicts as people read them, in words and local time.
create view account_availability as
select
  verdicts.account_id                                 as account_id,
  verdicts.account                                    as account,
  verdicts.provider                                   as provider,
  (
    select proxy from account_proxies where account_proxies.account_id = verdicts.account_id
  )                                                   as proxy,
  coalesce(verdicts.plan, 'unknown')                  as plan,
  verdicts.group_name                                 as models,
  case verdicts.usable when 1 then 'yes' when 0 then 'no' else 'unknown' end as usable,
  verdicts.reason                                     as reason,
  verdicts.effective_left                             as effective_left,
  datetime((next_usable_at + coalesce(offset_ms, 0)) / 1000, 'unixepoch')
                                                      as next_usable_local,
  (next_usable_at - now) / 60000                      as next_usable_minutes,
  verdicts.next_usable_at                             as next_usable_at,
  verdicts.blocked_by                                 as blocked_by,
  datetime(verdicts.cooldown_until / 1000, 'unixepoch') as resting_until_utc,
  verdicts.age_seconds                                as age_seconds,
  verdicts.sort_group = 0                             as account_usable,
  verdicts.sort_group                                 as sort_group,
  verdicts.sort_value                                 as sort_value,
  verdicts.rank                                       as rank
from ranked_verdicts as verdicts
cross join clock
left join zone_offsets
  on zone_offsets.starts_at <= next_usable_at and next_usable_at < zone_offsets.ends_at;

-- How long each verdict was as it was. The last one of an account and group is still so, while it
-- is valid.
create view quota_verdict_history as
with followed as (
  select
    changes.*,
    lead(since) over (partition by account_id, group_name order by since) as until
  from quota_verdict_changes as changes
)
select
  named_accounts.account_id                           as account_id,
  named_accounts.account                              as account,
  named_accounts.provider                             as provider,
  followed.group_name                                 as group_name,
  followed.since                                      as since,
  coalesce(
    followed.until,
    min(clock.now, coalesce(quota_verdicts.valid_until, clock.now))
  )                                                   as until,
  followed.usable                                     as usable,
  followed.reason                                     as reason
from followed
cross join clock
join named_accounts on named_accounts.account_id = followed.account_id
left join quota_verdicts
  on quota_verdicts.account_id = followed.account_id
  and quota_verdicts.group_name = followed.group_name;

-- Where the running cycle of each window began, and its newest observation, which may not be among
-- the kept points. Each subquery is one step into the points' key: a cycle may have hundreds of them.
create view quota_cycles as
with starts as materialized (
  select
    id              as window_id,
    account_id      as account_id,
    scope           as scope,
    window_seconds  as window_seconds,
    used_percent    as used_percent,
    cycle           as cycle,
    last_at         as last_at,
    last_used       as last_used,
    last_resets_at  as ends_at,
    (
      select min(observed_at)
      from quota_points
      where window_id = quota_windows.id and cycle = quota_windows.cycle
    )               as first_point_at
  from quota_windows
  where retired_at is null
)
select
  window_id                                 as window_id,
  account_id                                as account_id,
  scope                                     as scope,
  window_seconds                            as window_seconds,
  cycle                                     as cycle,
  -- A restart that left the reset alone shows in the cycle's number.
  cycle % 300000 <> 0                       as early,
  ends_at                                   as ends_at,
  case when used_percent is not null then last_at end as last_at,
  last_used                                 as last_used,
  coalesce(first_point_at, case when used_percent is not null then last_at end) as first_at,
  coalesce(
    (
      select used_percent
      from quota_points
      where window_id = starts.window_id
        and cycle = starts.cycle
        and observed_at = first_point_at
    ),
    last_used
  )                                         as first_used
from starts;

-- Will a window last until its reset: outcome is runs_out, lasts, exhausted, or none with the
-- reason. Rates are of the last hour for 5 hours, the last day for a week, three days for a
-- month, and of the whole cycle where too little was seen lately. The quota worker projects; from
-- valid_until on its forecast is stale.
create view quota_window_forecasts as
with timed as (
  select
    states.*,
    quota_forecasts.outcome                           as outcome,
    quota_forecasts.reason                            as reason,
    quota_forecasts.percent_per_hour                  as percent_per_hour,
    quota_forecasts.runs_out_at                       as runs_out_at,
    quota_forecasts.left_over_percent                 as left_over_percent,
    quota_forecasts.resets_at                         as ends_at,
    quota_forecasts.first_at                          as first_at,
    quota_forecasts.first_used                        as first_used,
    quota_forecasts.last_at                           as last_at,
    quota_forecasts.last_used                         as last_used,
    quota_forecasts.decided_at                        as decided_at,
    clock.now                                         as now,
    coalesce(
      clock.now >= quota_forecasts.decided_at - 5000
        and clock.now < quota_forecasts.valid_until,
      0
    )                                                 as valid
  from quota_window_states as states
  cross join clock
  left join quota_forecasts on quota_forecasts.window_id = states.window_id
)
select
  account_id                                          as account_id,
  account                                             as account,
  provider                                            as provider,
  plan                                                as plan,
  window_id                                           as window_id,
  scope                                               as scope,
  label                                               as label,
  used_percent                                        as used_percent,
  ends_at                                             as resets_at,
  iif(valid, outcome, 'none')                         as outcome,
  case
    when valid then reason
    when decided_at is null then 'not_decided'
    when ends_at <= now then 'rolled_over'
    else 'stale'
  end                                                 as reason,
  case when valid then percent_per_hour end           as percent_per_hour,
  case when valid then max(runs_out_at, now) end      as runs_out_at,
  case when valid then left_over_percent end          as left_over_percent,
  first_at                                            as first_at,
  first_used                                          as first_used,
  last_at                                             as last_at,
  last_used                                           as last_used
from timed;

-- From one observation to the next in the running cycles of account windows. The points are read
-- in the order of their key, and the newest observation follows the last of them.
create view quota_cycle_steps as
select
  quota_windows.id                as window_id,
  quota_windows.account_id        as account_id,
  quota_points.observed_at        as before_at,
  coalesce(lead(quota_points.observed_at) over points, quota_windows.last_at) as observed_at,
  coalesce(lead(quota_points.used_percent) over points, quota_windows.last_used)
    - quota_points.used_percent   as moved_percent
from quota_windows
-- A cross join keeps the windows outermost: all points are far more than those of running cycles.
cross join quota_points
  on quota_points.window_id = quota_windows.id
  and quota_points.cycle = quota_windows.cycle
  and quota_points.observed_at < quota_windows.last_at
where quota_windows.retired_at is null
  and quota_windows.used_percent is not null
  and quota_windows.scope = 'account'
window points as (partition by quota_windows.id order by quota_points.observed_at);

-- What the events of this ledger used in the running cycles of accounts' windows. Whole UTC days come
-- from their sums, so that a week costs not much more than a day.
create view quota_cycle_events as
with cycles as (
  select
    window_id                                       as window_id,
    account_id                                      as account_id,
    first_at                                        as first_at,
    last_at                                         as last_at,
    last_used - first_used                          as moved_percent,
    -- Events that were deleted for their age do not count, though their sums are kept.
    max(first_at + 1, raw_complete_from)            as from_at,
    last_at + 1                                     as until_at
  from quota_cycles
  cross join rollup_state
  where scope = 'account'
    and last_at > first_at
    and account_id in (select account_id from account_poll_states)
),
bounds as materialized (
  select
    *,
    (from_at + 86399999) / 86400000 * 86400000      as day_from,
    until_at / 86400000 * 86400000                  as day_until
  from cycles
),
days as materialized (
  select distinct bucket_at
  from total_rollup
  where resolution = 4 and bucket_at >= (select min(day_from) from bounds)
),
raw as (
  select
    window_id                                       as window_id,
    account_id                                      as account_id,
    from_at                                         as from_at,
    iif(day_from < day_until, day_from, until_at)   as until_at
  from bounds
  union all
  select
    window_id,
    account_id,
    day_until,
    until_at
  from bounds
  where day_from < day_until
),
used as (
  select
    bounds.window_id                                as window_id,
    sums.requests                                   as requests,
    sums.input_tokens + sums.output_tokens + sums.unclassified_tokens as total_tokens,
    sums.cost_microdollars                          as cost_microdollars,
    sums.unpriced                                   as unpriced
  from bounds
  cross join days on days.bucket_at >= day_from and days.bucket_at < day_until
  cross join credentials on credentials.account_id = bounds.account_id
  cross join credential_rollup as sums
    on sums.resolution = 4
    and sums.bucket_at = days.bucket_at
    and sums.credential_id = credentials.id
  union all
  select
    raw.window_id,
    1,
    usage_events.total_tokens,
    usage_events.cost_microdollars,
    usage_events.cost_reason is not null
  from raw
  cross join credentials on credentials.account_id = raw.account_id
  cross join usage_events
    on usage_events.credential_id = credentials.id
    and usage_events.occurred_at >= raw.from_at
    and usage_events.occurred_at < raw.until_at
),
sums as (
  select
    window_id                                       as window_id,
    sum(requests)                                   as requests,
    sum(total_tokens)                               as total_tokens,
    iif(
      sum(requests) > sum(unpriced) or sum(cost_microdollars) > 0,
      sum(cost_microdollars),
      null
    )                                               as cost_microdollars,
    sum(unpriced)                                   as unpriced
  from used
  group by window_id
)
select
  bounds.window_id                                  as window_id,
  bounds.account_id                                 as account_id,
  bounds.first_at                                   as first_at,
  bounds.last_at                                    as last_at,
  bounds.moved_percent                              as moved_percent,
  coalesce(sums.requests, 0)                        as requests,
  coalesce(sums.total_tokens, 0)                    as total_tokens,
  sums.cost_microdollars                            as cost_microdollars,
  coalesce(sums.unpriced, 0)                        as unpriced
from bounds
left join sums using (window_id);

-- What moved while there was no event of this ledger must have been used by others.
create view quota_cycle_usage as
with outside as (
  select
    window_id           as window_id,
    sum(moved_percent)  as moved_percent,
    sum(
      iif(
        exists (
          select 1
          from credentials
          join usage_events
            on usage_events.credential_id = credentials.id
            -- A long request counts when it ends, a quarter of an hour after its event's time.
            and usage_events.occurred_at > steps.before_at - 900000
            and usage_events.occurred_at <= steps.observed_at
          where credentials.account_id = steps.account_id
        ),
        0,
        moved_percent
      )
    )                   as outside_percent
  from quota_cycle_steps as steps
  where moved_percent > 0
  group by window_id
)
select
  events.account_id                                   as account_id,
  events.window_id                                    as window_id,
  events.first_at                                     as first_at,
  events.last_at                                      as last_at,
  events.moved_percent                                as moved_percent,
  events.requests                                     as requests,
  events.total_tokens                                 as total_tokens,
  events.cost_microdollars                            as cost_microdollars,
  events.unpriced                                     as unpriced,
  case
    when events.moved_percent >= 2 and events.requests > 0
      then events.total_tokens / events.moved_percent
  end                                                 as tokens_per_percent,
  case
    when events.moved_percent >= 2 and events.requests > 0
      then events.cost_microdollars / 1e6 / events.moved_percent
  end                                                 as dollars_per_percent,
  coalesce(outside.outside_percent, 0.0)              as outside_percent,
  100.0 * outside.outside_percent / outside.moved_percent as outside_share_percent
from quota_cycle_events as events
left join outside using (window_id);

-- The forecasts as people read them, with what the ledger's own events used, in local time.
create view limit_forecasts as
with zone as materialized (
  select offset_ms
  from clock
  join zone_offsets on starts_at <= now and now < ends_at
)
select
  forecasts.account_id                                as account_id,
  forecasts.window_id                                 as window_id,
  forecasts.account                                   as account,
  forecasts.provider                                  as provider,
  account_proxies.proxy                               as proxy,
  forecasts.label                                     as limit_name,
  forecasts.used_percent                              as used_percent,
  case forecasts.outcome
    when 'runs_out' then 'runs out before its reset'
    when 'lasts' then 'lasts until its reset'
    when 'exhausted' then 'used up'
    else replace(forecasts.reason, '_', ' ')
  end                                                 as forecast,
  round(forecasts.percent_per_hour, 2)                as percent_per_hour,
  datetime((forecasts.runs_out_at + coalesce(offset_ms, 0)) / 1000, 'unixepoch')
                                                      as runs_out_local,
  round(forecasts.left_over_percent, 1)               as left_over_percent,
  datetime((forecasts.resets_at + coalesce(offset_ms, 0)) / 1000, 'unixepoch')
                                                      as resets_local,
  round(usage.tokens_per_percent)                     as tokens_per_percent,
  round(usage.dollars_per_percent, 4)                 as dollars_per_percent,
  usage.unpriced                                      as unpriced,
  round(usage.outside_share_percent, 1)               as outside_share_percent,
  forecasts.outcome                                   as outcome,
  forecasts.reason                                    as reason,
  forecasts.runs_out_at                               as runs_out_at,
  case forecasts.outcome
    when 'exhausted' then 0 when 'runs_out' then 1 when 'lasts' then 2 else 3
  end                                                 as urgency,
  forecasts.left_over_percent                         as left_over_exact
from quota_window_forecasts as forecasts
left join account_proxies on account_proxies.account_id = forecasts.account_id
-- The sums of an earlier cycle do not count.
left join quota_cycle_sums as usage
  on usage.window_id = forecasts.window_id and usage.first_at = forecasts.first_at
left join zone;

-- How many tokens and dollars are left for each account, from what a percent point of each of its
-- gating windows has cost so far. The range is that of whole percents; what others used is not
-- counted. Null with the reason where a window has no such price.
create view account_capacities as
with limits as (
  select
    states.account_id                                 as account_id,
    states.account                                    as account,
    states.provider                                   as provider,
    states.label                                      as label,
    states.left_percent                               as left_percent,
    case
      when states.left_percent is null then 'percent_unknown'
      when sums.tokens_per_percent is null then 'too_little_data'
      when sums.moved_percent - sums.outside_percent < 2 then 'used_elsewhere'
    end                                               as reason,
    max(states.left_percent - 0.5, 0.0)               as left_low,
    min(states.left_percent + 0.5, 100.0)             as left_high,
    sums.total_tokens                                 as total_tokens,
    iif(sums.unpriced > 0, null, sums.cost_microdollars / 1e6) as dollars,
    sums.moved_percent + 1.0                          as moved_high,
    sums.moved_percent - sums.outside_percent - 1.0   as moved_low
  from quota_window_states as states
  left join quota_forecasts on quota_forecasts.window_id = states.window_id
  left join quota_cycle_sums as sums
    on sums.window_id = states.window_id and sums.first_at = quota_forecasts.first_at
  where states.gating = 1 and states.scope in ('account', 'group')
)
select
  account_id                                          as account_id,
  account                                             as account,
  provider                                            as provider,
  min(left_percent)                                   as left_percent,
  case when max(reason) is null then round(min(left_low * total_tokens / moved_high)) end
                                                      as tokens_low,
  case when max(reason) is null then round(min(left_high * total_tokens / moved_low)) end
                                                      as tokens_high,
  case
    when max(reason) is null and count(dollars) = count(*)
      then round(min(left_low * dollars / moved_high), 2)
  end                                                 as dollars_low,
  case
    when max(reason) is null and count(dollars) = count(*)
      then round(min(left_high * dollars / moved_low), 2)
  end                                                 as dollars_high,
  max(reason)                                         as reason
from limits
group by account_id;

-- The forecasts of pools as people read them, in local time. Outside its validity a forecast is
-- stale, and none.
create view pool_forecasts as
with timed as (
  select
    pools.*,
    clock.now                                         as now,
    clock.now >= pools.decided_at - 5000 and clock.now < pools.valid_until as valid
  from quota_pool_forecasts as pools
  cross join clock
),
current as (
  select
    provider                                          as provider,
    group_name                                        as group_name,
    accounts                                          as accounts,
    iif(valid, usable, null)                          as usable,
    iif(valid, unknown, null)                         as unknown,
    iif(valid, outcome, 'none')                       as outcome,
    iif(valid, reason, 'stale')                       as reason,
    iif(valid, max(out_from, now), null)              as out_from,
    iif(valid, max(out_until, now), null)             as out_until,
    iif(valid, returns_at, null)                      as returns_at,
    decided_at                                        as decided_at,
    valid_until                                       as valid_until,
    coalesce(offset_ms, 0)                            as offset_ms
  from timed
  left join zone_offsets on zone_offsets.starts_at <= now and now < zone_offsets.ends_at
)
select
  provider                                            as provider,
  group_name                                          as group_name,
  accounts                                            as accounts,
  usable                                              as usable,
  unknown                                             as unknown,
  outcome                                             as outcome,
  reason                                              as reason,
  out_from                                            as out_from,
  out_until                                           as out_until,
  returns_at                                          as returns_at,
  datetime((out_from + offset_ms) / 1000, 'unixepoch') as out_from_local,
  datetime((out_until + offset_ms) / 1000, 'unixepoch') as out_until_local,
  datetime((returns_at + offset_ms) / 1000, 'unixepoch') as returns_local,
  decided_at                                          as decided_at,
  valid_until                                         as valid_until
from current;

-- Every kept observation; the newest one of a window may not be among them.
create view quota_observations as
select
  named_accounts.account_id                           as account_id,
  named_accounts.account                              as account,
  named_accounts.provider                             as provider,
  quota_windows.id                                    as window_id,
  quota_windows.scope                                 as scope,
  quota_windows.label                                 as label,
  quota_points.cycle                                  as cycle,
  quota_points.observed_at                            as observed_at,
  datetime((quota_points.observed_at + coalesce(zone_offsets.offset_ms, 0)) / 1000, 'unixepoch')
                                                      as observed_local,
  quota_points.used_percent                           as used_percent,
  min(max(100 - quota_points.used_percent, 0.0), 100.0) as left_percent,
  quota_points.resets_at                              as resets_at,
  named_accounts.account || ' ' || quota_windows.label as series
from named_accounts
cross join quota_windows on quota_windows.account_id = named_accounts.account_id
cross join quota_points on quota_points.window_id = quota_windows.id
left join zone_offsets
  on zone_offsets.starts_at <= quota_points.observed_at
  and quota_points.observed_at < zone_offsets.ends_at;

-- A cycle ends early by a banked reset, or where the provider decides so. What was left then is gone.
create view quota_cycle_ends as
with cycles as (
  select
    window_id         as window_id,
    cycle             as cycle,
    min(observed_at)  as first_at
  from quota_points
  where cycle <> 0
  group by window_id, cycle
),
lasts as (
  select
    window_id         as window_id,
    cycle             as cycle,
    max(observed_at)  as last_at,
    used_percent      as last_used,
    resets_at         as resets_at
  from quota_points
  where cycle <> 0
  group by window_id, cycle
),
followed as (
  select
    cycles.*,
    lasts.last_at     as last_at,
    lasts.last_used   as last_used,
    lasts.resets_at   as resets_at,
    lead(cycles.first_at) over (partition by cycles.window_id order by cycles.first_at) as next_at
  from cycles
  join lasts using (window_id, cycle)
),
ends as (
  select
    followed.*,
    -- Half a minute: reset instants jitter between polls.
    coalesce(next_at < resets_at - 30000, 0)         as early,
    case when next_at < resets_at - 30000 then next_at else resets_at end as ended_at
  from followed
  cross join clock
  where next_at is not null or resets_at <= clock.now
)
select
  named_accounts.account_id                           as account_id,
  named_accounts.account                              as account,
  named_accounts.provider                             as provider,
  (
    select proxy from account_proxies where account_proxies.account_id = quota_windows.account_id
  )                                                   as proxy,
  quota_windows.id                                    as window_id,
  quota_windows.scope                                 as scope,
  quota_windows.label                                 as label,
  ends.first_at                                       as first_at,
  ends.last_at                                        as last_at,
  ends.ended_at                                       as ended_at,
  datetime((ends.ended_at + coalesce(offset_ms, 0)) / 1000, 'unixepoch')
                                                      as ended_local,
  ends.early                                          as early,
  ends.last_used                                      as used_percent,
  min(max(100 - ends.last_used, 0.0), 100.0)          as left_unused_percent,
  max(ends.ended_at - ends.last_at, 0) / 1000         as unseen_seconds
from ends
join quota_windows on quota_windows.id = ends.window_id
join named_accounts on named_accounts.account_id = quota_windows.account_id
left join zone_offsets
  on zone_offsets.starts_at <= ends.ended_at and ends.ended_at < zone_offsets.ends_at;

-- The same as the newest rows of quota_cycle_ends, in single steps into the points' key, so that the
-- alerts worker may read it every few seconds.
create view quota_last_resets as
with cycles as (
  select
    quota_windows.id                                  as window_id,
    quota_windows.account_id                          as account_id,
    quota_windows.label                               as label,
    quota_windows.gating                              as gating,
    quota_windows.last_used                           as last_used,
    quota_windows.last_resets_at                      as last_resets_at,
    cycle <> 0 and last_resets_at <= clock.now        as has_ended,
    cycle                                             as running_cycle,
    (
      select max(quota_points.cycle)
      from quota_points
      where quota_points.window_id = quota_windows.id
        and quota_points.cycle > 0
        and quota_points.cycle < iif(quota_windows.cycle = 0, 9e18, quota_windows.cycle)
    )                                                 as cycle_before
  from quota_windows
  cross join clock
  where retired_at is null
),
ends as (
  select
    window_id                                         as window_id,
    account_id                                        as account_id,
    label                                             as label,
    gating                                            as gating,
    iif(has_ended, running_cycle, cycle_before)                     as cycle,
    last_used                                         as used_percent,
    last_resets_at                                    as resets_at,
    null                                              as next_at,
    null                                              as next_used
  from cycles
  where has_ended
  union all
  select
    cycles.window_id,
    account_id,
    label,
    gating,
    cycle_before,
    lasts.used_percent,
    lasts.resets_at,
    firsts.observed_at,
    firsts.used_percent
  from cycles
  join quota_points as lasts
    on lasts.window_id = cycles.window_id
    and lasts.cycle = cycle_before
    and lasts.observed_at = (
      select max(observed_at)
      from quota_points
      where quota_points.window_id = cycles.window_id and quota_points.cycle = cycle_before
    )
  left join quota_points as firsts
    on firsts.window_id = cycles.window_id
    and firsts.cycle = running_cycle
    and firsts.observed_at = (
      select min(observed_at)
      from quota_points
      where quota_points.window_id = cycles.window_id
        and quota_points.cycle = running_cycle
        and running_cycle <> 0
    )
  where not coalesce(has_ended, 0)
)
select
  window_id                                           as window_id,
  account_id                                          as account_id,
  label                                               as label,
  gating                                              as gating,
  cycle                                               as cycle,
  used_percent                                        as used_percent,
  min(max(100 - used_percent, 0.0), 100.0)            as left_percent,
  coalesce(next_at < resets_at - 30000, 0)            as early,
  iif(next_at < resets_at - 30000, next_at, resets_at) as ended_at,
  next_used                                           as next_used_percent
from ends
cross join clock
where next_at is not null or resets_at <= clock.now;

-- Accounts that are not asked at all, or not yet, have no problem.
create view quota_problems as
select
  account_id                                          as account_id,
  account                                             as account,
  provider                                            as provider,
  (
    select proxy from account_proxies where account_proxies.account_id = states.account_id
  )                                                   as proxy,
  case when disabled then 'disabled' else state end   as state,
  case
    when disabled then 'disabled in the proxy: nothing to do, or enable it there'
    when state = 'needs_login' then 'log in again: the provider has ended this login'
    when state = 'deactivated' then 'the provider has closed this account or workspace'
    when state = 'unsupported_credential' then 'log in again: this token may not read quotas'
    when state = 'token_expired' then 'wait: the proxy renews the token when it next uses it'
    when state = 'wrong_workspace' then 'the answer was about another workspace: log in again'
    when state = 'auth_error' then 'the provider refuses this login: log in again if it lasts'
    when state = 'blocked_network' then 'the provider''s edge blocks this network, not the account'
    when state = 'rate_limited' then 'asked too often, by us or by others: we ask less now'
    when state = 'bad_response' then 'the answer was none that we know: upgrade if it lasts'
    when error_code = 'proxy_unusable' then 'use quota_source management for this account'
    when state = 'unavailable' then 'wait: we ask again'
    when state = 'never' then 'not asked yet'
    else 'wait, and report this state if it lasts'
  end                                                 as advice,
  http_status                                         as http_status,
  error_code                                          as error_code,
  error_text                                          as error_text,
  failures                                            as failures,
  last_attempt_at                                     as last_attempt_at,
  last_success_at                                     as last_success_at,
  next_attempt_at                                     as next_attempt_at,
  datetime(last_attempt_at / 1000, 'unixepoch')       as last_attempt_utc,
  datetime(last_success_at / 1000, 'unixepoch')       as last_success_utc,
  datetime(next_attempt_at / 1000, 'unixepoch')       as next_attempt_utc
from account_poll_states as states
where disabled or state not in ('ok', 'no_source', 'never');

-- In the shape of the original script, for programs that read its answers: "primary" is the 5-hour
-- window, "secondary" the weekly one, whatever the provider calls first.
create view account_quotas as
with windows as (
  select
    account_id                                        as account_id,
    window_key                                        as window_key,
    case
      when rolled_over then null
      when used_percent = cast(used_percent as integer) then cast(used_percent as integer)
      else used_percent
    end                                               as used,
    case
      when left_percent = cast(left_percent as integer) then cast(left_percent as integer)
      else left_percent
    end                                               as remaining,
    case
      when not rolled_over then datetime(
        (
          resets_at + coalesce(
            (
              select offset_ms
              from zone_offsets
              where starts_at <= resets_at and resets_at < ends_at
            ),
            0
          )
        ) / 1000,
        'unixepoch'
      )
    end                                               as reset_at
  from quota_window_states
  where scope = 'account' and scope_key = ''
)
select
  verdicts.account_id                                 as account_id,
  -- The plan has a column of its own here.
  iif(
    instr(verdicts.account, label || ' · ') = 1, label, verdicts.account
  )                                                   as email,
  verdicts.plan                                       as plan,
  verdicts.usable                                     as allowed,
  case
    when verdicts.usable is null then null
    else verdicts.usable = 0 and (
      verdicts.blocked_by is not null
      or coalesce(states.limit_reached, 0) = 1
      or verdicts.reason = 'usage_limit_reached'
    )
  end                                                 as limit_reached,
  five_hours.used                                     as primary_used_percent,
  five_hours.remaining                                as primary_remaining_percent,
  five_hours.reset_at                                 as primary_reset_at,
  week.used                                           as secondary_used_percent,
  week.remaining                                      as secondary_remaining_percent,
  week.reset_at                                       as secondary_reset_at,
  states.credits_balance                           as credits_balance,
  strftime('%Y-%m-%dT%H:%M:%SZ', verdicts.observed_at / 1000, 'unixepoch')
                                                      as timestamp,
  verdicts.observed_at / 1000                         as ts_epoch
from account_verdicts as verdicts
join account_poll_states as states using (account_id)
join known_accounts on known_accounts.id = verdicts.account_id
left join windows as five_hours
  on five_hours.account_id = verdicts.account_id and five_hours.window_key = '5h'
left join windows as week
  on week.account_id = verdicts.account_id and week.window_key = '7d'
where verdicts.state <> 'no_source';

-- 7. Budgets and bills: budgets by period, the bill of a month

-- What a month's numbers need said beside them; null where they are whole.
create view month_notes as
with facts as (
  select
    clock.now                                                 as now,
    (select min(first_pop_at) from proxies)                   as since,
    (
      select last_event_id < (select coalesce(max(id), 0) from usage_events) from rollup_state
    )                                                         as is_behind
  from clock
),
said as (
  select
    month                                                     as month,
    case
      when months.starts_at > now then 'not begun yet; '
      when months.ends_at > now then 'not over yet; '
      else ''
    end
    || iif(
      since > months.starts_at,
      'collection began on ' || datetime((since + coalesce(offset_ms, 0)) / 1000, 'unixepoch')
        || '; ',
      ''
    )
    || coalesce(
      (
        select 'gaps in which events may be missing: ' || count(*) || ', see /ledger/gap_list; '
        from collection_gaps
        where (retention_exceeded or batches_at_risk > 0)
          and started_at < months.ends_at
          and coalesce(ended_at, now) > months.starts_at
        having count(*) > 0
      ),
      ''
    )
    || iif(is_behind, 'its sums are being worked out anew; ', '') as sentences
  from months
  cross join facts
  left join zone_offsets on zone_offsets.starts_at <= since and since < zone_offsets.ends_at
)
select
  month                                 as month,
  nullif(rtrim(sentences, '; '), '')    as note
from said;

-- The credentials of each budget's account, or its client keys, by the names that are shown.
create view budget_members as
select
  budgets.budget                  as budget,
  named_clients.client_id         as member_id
from budgets
join named_clients on named_clients.client = budgets.named
where budgets.scope = 'client'
union all
select
  budgets.budget                  as budget,
  named_credentials.credential_id as member_id
from budgets
join named_credentials on named_credentials.account = budgets.named
where budgets.scope = 'account';

-- What each budget's running period used, not yet added up: by clients in quarter hours, by
-- credentials in hours, and days.
create view budget_buckets as
with segments as (
  select *
  from range_segments
  where fine = 0
    and range_key in (
      json_array('this day', '', ''),
      json_array('this week', '', ''),
      json_array('this month', '', '')
    )
),
parts as materialized (
  select
    budgets.budget          as budget,
    budgets.scope           as scope,
    segments.resolution     as resolution,
    segments.from_at        as from_at,
    segments.until_at       as until_at,
    segments.weight         as weight
  from budgets
  join segments
    on segments.range_key = json_array('this ' || budgets.per, '', '')
    and segments.slice = iif(budgets.scope = 'account', 'credential', budgets.scope)
),
members as materialized (
  select * from budget_members
)
select
  parts.budget                                                      as budget,
  sums.input_tokens + sums.output_tokens + sums.unclassified_tokens as total_tokens,
  sums.cost_microdollars                                            as cost_microdollars,
  sums.unpriced                                                     as unpriced
from parts
cross join total_rollup as sums
  on sums.resolution = parts.resolution
  and sums.bucket_at >= parts.from_at
  and sums.bucket_at < parts.until_at
where parts.scope = 'total'
union all
select
  parts.budget                                                      as budget,
  sums.input_tokens + sums.output_tokens + sums.unclassified_tokens as total_tokens,
  sums.cost_microdollars                                            as cost_microdollars,
  sums.unpriced                                                     as unpriced
from parts
cross join members on members.budget = parts.budget
cross join client_rollup as sums
  on sums.resolution = parts.resolution
  and sums.bucket_at >= parts.from_at
  and sums.bucket_at < parts.until_at
  and sums.client_id = members.member_id
where parts.scope = 'client'
union all
select
  parts.budget                                                      as budget,
  sums.input_tokens + sums.output_tokens + sums.unclassified_tokens as total_tokens,
  sums.cost_microdollars                                            as cost_microdollars,
  sums.unpriced                                                     as unpriced
from parts
cross join members on members.budget = parts.budget
cross join credential_rollup as sums
  on sums.resolution = parts.resolution
  and sums.bucket_at >= parts.from_at
  and sums.bucket_at < parts.until_at
  and sums.credential_id = members.member_id
where parts.scope = 'account'
union all
-- Events one by one: an account's local day may begin within an hour; those after the period's end.
select
  parts.budget                                                      as budget,
  weight * (input_tokens + output_tokens + unclassified_tokens)     as total_tokens,
  weight * cost_microdollars                                        as cost_microdollars,
  weight * unpriced                                                 as unpriced
from parts
cross join members on members.budget = parts.budget
cross join event_measures as events
  on events.credential_id = members.member_id
  and occurred_at >= parts.from_at
  and occurred_at < parts.until_at
where parts.scope = 'account' and parts.resolution = 0
union all
select
  parts.budget                                                      as budget,
  weight * (input_tokens + output_tokens + unclassified_tokens)     as total_tokens,
  weight * cost_microdollars                                        as cost_microdollars,
  weight * unpriced                                                 as unpriced
from parts
cross join event_measures as events
  on occurred_at >= parts.from_at and occurred_at < parts.until_at
where parts.resolution = 0
  and (
    parts.scope = 'total'
    or parts.scope = 'client'
    and client_id in (select member_id from members where members.budget = parts.budget)
  );

-- How much of each budget its running period has used.
create view budget_states as
with sums as (
  select
    budget                                            as budget,
    sum(total_tokens)                                 as total_tokens,
    sum(cost_microdollars)                            as cost_microdollars,
    sum(unpriced)                                     as unpriced
  from budget_buckets
  group by budget
),
spent as (
  select
    budgets.budget                                    as budget,
    budgets.scope                                     as scope,
    budgets.named                                     as named,
    budgets.unit                                      as unit,
    budgets.per                                       as per,
    budgets.amount                                    as amount,
    running_periods.from_day                           as from_day,
    running_periods.to_day                             as to_day,
    running_periods.starts_at                          as starts_at,
    running_periods.ends_at                            as ends_at,
    coalesce(
      iif(budgets.unit = 'tokens', sums.total_tokens, sums.cost_microdollars / 1e6),
      0
    )                                                 as spent,
    coalesce(sums.unpriced, 0)                        as unpriced,
    budgets.scope = 'total'
      or budgets.budget in (select budget from budget_members)
                                                      as known
  from budgets
  join running_periods using (per)
  left join sums using (budget)
)
select
  budget                                              as budget,
  scope                                               as scope,
  named                                               as named,
  per                                                 as per,
  from_day                                            as from_day,
  to_day                                              as to_day,
  starts_at                                           as starts_at,
  ends_at                                             as ends_at,
  unit                                                as unit,
  amount                                              as amount,
  spent                                               as spent,
  100.0 * spent / amount                              as percent,
  unpriced                                            as unpriced,
  case
    when not known then 'unknown name'
    when 100.0 * spent / amount >= coalesce(
      (select threshold from alert_rules where rule = 'budget_spent'), 100
    ) then 'spent'
    when 100.0 * spent / amount >= coalesce(
      (select threshold from alert_rules where rule = 'budget_near'), 80
    ) then 'near'
    else 'ok'
  end                                                 as state
from spent;

-- 8. Problems and alerts: what is wrong now

-- Every problem by its code. The rule is the alert rule that sends messages about it, null for
-- none; tells_over: its end is worth a message too. Texts for people are in ledger/text, by code.
create view problem_codes as
with codes (code, kind, severity, rule, tells_over) as (
  values
    ('collector_never_started', 'worker', 'severe', null, 0),
    ('collector_stopped', 'worker', 'severe', 'collector', 1),
    ('collector_silent', 'worker', 'severe', 'collector', 1),
    ('collector_waiting', 'worker', 'warning', null, 0),
    ('quota_worker_silent', 'worker', 'warning', 'quota_worker', 1),
    ('quota_worker_stopped', 'worker', 'notice', null, 0),
    ('quota_worker_waiting', 'worker', 'warning', null, 0),
    ('alerts_worker_silent', 'worker', 'warning', null, 0),
    ('alerts_worker_waiting', 'worker', 'warning', null, 0),
    ('custom_rules_failing', 'worker', 'warning', null, 0),
    ('receiver_failing', 'receiver', 'warning', null, 0),
    ('statistics_off', 'proxy', 'severe', 'statistics_off', 1),
    ('key_refused', 'proxy', 'severe', null, 0),
    ('short_retention', 'proxy', 'notice', null, 0),
    ('queue_shared', 'proxy', 'severe', 'queue_shared', 1),
    ('events_missing', 'proxy', 'warning', null, 0),
    ('collection_waiting', 'proxy', 'warning', 'gap', 1),
    ('collection_blocked', 'proxy', 'severe', 'gap', 1),
    ('events_lost', 'records', 'warning', 'lost', 0),
    ('events_at_risk', 'records', 'warning', null, 0),
    ('records_rejected', 'records', 'warning', null, 0),
    ('events_of_the_past', 'records', 'notice', null, 0),
    ('events_of_the_future', 'records', 'warning', null, 0),
    ('login_expired', 'account', 'warning', 'needs_login', 0),
    ('login_refused', 'account', 'warning', 'needs_login', 0),
    ('account_closed', 'account', 'warning', 'needs_login', 0),
    ('wrong_workspace', 'account', 'notice', null, 0),
    ('login_without_quota', 'account', 'notice', null, 0),
    ('network_blocked', 'account', 'notice', null, 0),
    ('answer_not_understood', 'account', 'notice', null, 0),
    ('limit_spent', 'limit', 'warning', 'quota_low', 0),
    ('limit_low', 'limit', 'warning', 'quota_low', 0),
    ('limit_runs_out', 'limit', 'warning', 'runs_out', 0),
    ('limit_reset', 'limit', 'notice', 'reset', 0),
    ('models_blocked', 'account', 'warning', 'quota_low', 0),
    ('attempts_failing', 'traffic', 'warning', 'failures', 1),
    ('provider_down', 'provider', 'severe', 'provider_down', 1),
    ('model_unpriced', 'model', 'notice', 'unpriced', 0),
    ('budget_near', 'budget', 'warning', 'budget_near', 0),
    ('budget_spent', 'budget', 'severe', 'budget_spent', 0),
    ('budget_of_nothing', 'budget', 'notice', null, 0)
)
select
  code        as code,
  kind        as kind,
  severity    as severity,
  rule        as rule,
  tells_over  as tells_over
from codes;

-- The rules that are switched on.
create view enabled_alert_rules as
select
  rule       as rule,
  threshold  as threshold
from alert_rules
where enabled = 1;

-- From when on a past event is worth an alert: it is for some hours, and never from before the
-- first start of the alerts worker.
create view alert_horizons as
with first_start (started_at) as (
  -- Without a start there is nothing to report.
  select coalesce((select cast(value as integer) from settings where name = 'alerts_from'), 9e18)
)
select
  max(clock.now - 3600000, started_at)    as resets_from,
  max(clock.now - 21600000, started_at)   as gaps_from
from clock
cross join first_start;

-- In this view and the next ones: alert_key identifies an open alert and must not
-- change while the problem lasts; long_enough: it has lasted as long as its rule says. The instant
-- `until` is written into the parameter that until_name names.

-- Workers that are stopped, silent or waiting, and what keeps the alerts worker from its work. The
-- state is what the worker reported last, so that it does not matter how a worker ended.
create view worker_problems as
with states as (
  select
    worker_states.*,
    coalesce(proxies.id, 0)                                     as proxy_id,
    exists (
      select 1 from gaps where gaps.proxy_id = proxies.id and gaps.ended_at is null
    )                                                           as has_open_gap
  from worker_states
  left join proxies on proxies.name = worker_states.proxy
  where coalesce(proxies.configured, 1) = 1
),
coded as (
  select
    *,
    case
      when role = 'ingest' and state = 'waiting' and not has_open_gap then 'collector_waiting'
      when role = 'ingest' and state = 'refused' and not has_open_gap then 'collector_waiting'
      when role = 'ingest' and state in ('stopped', 'silent') then 'collector_' || state
      when role = 'quota' and state in ('stopped', 'silent') then 'quota_worker_' || state
      when role = 'quota' and state in ('waiting', 'refused') then 'quota_worker_waiting'
      when role = 'alerts' and state = 'silent' then 'alerts_worker_silent'
      when role = 'alerts' and state in ('waiting', 'refused') then 'alerts_worker_waiting'
      when role = 'alerts' and state = 'working' and detail is not null then 'custom_rules_failing'
    end as code
  from states
)
select
  code                                                          as code,
  worker                                                        as subject,
  worker                                                        as alert_key,
  iif(state in ('stopped', 'silent'), beat_at, null)            as since,
  null                                                          as until,
  null                                                          as until_name,
  iif(state in ('stopped', 'silent'), seconds_ago, null)        as value,
  alert_rules.threshold                                         as threshold,
  json_object('worker', worker, 'proxy', proxy, 'seconds', seconds_ago, 'detail', rtrim(detail, '.'))
                                                                as parameters,
  proxy                                                         as proxy,
  coalesce(seconds_ago > alert_rules.threshold, 0)              as long_enough
from coded
left join problem_codes using (code)
left join alert_rules on alert_rules.rule = problem_codes.rule
where code is not null
union all
select
  'collector_never_started',
  coalesce(wanted.name, 'ingest'),
  coalesce('proxy ' || wanted.id, 'ingest'),
  null,
  null,
  null,
  null,
  null,
  json_object('proxy', wanted.name),
  wanted.name,
  1
from (
  select id, name from proxies where configured = 1
  union all
  select null, null where not exists (select 1 from proxies where configured = 1)
) as wanted
where not exists (
  select 1
  from heartbeats
  where role = 'ingest' and (heartbeats.proxy_id = wanted.id or heartbeats.proxy_id is null)
)
union all
select
  'receiver_failing',
  service,
  'receiver ' || id,
  last_sent_at,
  null,
  null,
  failures,
  3,
  json_object('service', service, 'error', last_error, 'failures', failures),
  null,
  1
from alert_receivers
where configured = 1 and failures >= 3;

-- What a proxy is set to, whether it accepts the key, and what its own counters say.
create view proxy_problems as
select
  'statistics_off'                as code,
  name                            as subject,
  'proxy ' || id                  as alert_key,
  null                            as since,
  null                            as until,
  null                            as until_name,
  null                            as value,
  null                            as threshold,
  json_object('proxy', name)      as parameters,
  name                            as proxy,
  1                               as long_enough
from proxies
where configured = 1 and statistics_enabled = 0
union all
select
  'short_retention',
  name,
  'proxy ' || id,
  null,
  null,
  null,
  retention_seconds,
  600,
  json_object('proxy', name, 'seconds', retention_seconds),
  name,
  1
from proxies
where configured = 1 and retention_seconds < 600
union all
select
  'key_refused',
  proxies.name,
  'proxy ' || proxies.id,
  refused_at,
  retry_at,
  'until',
  refusals,
  null,
  json_object('proxy', proxies.name, 'detail', rtrim(message, '.')),
  proxies.name,
  1
from refused_keys
join proxies on proxies.id = refused_keys.proxy_id
where configured = 1
union all
select
  iif(finding = 'taken', 'queue_shared', 'events_missing'),
  proxy,
  'proxy ' || proxy || iif(finding = 'taken', '', ' ' || since_at),
  iif(finding = 'taken', read_at, since_at),
  null,
  null,
  missing,
  null,
  json_object('proxy', proxy, 'missing', missing, 'counted', counted, 'stored', stored),
  proxy,
  1
from proxy_run_counts
cross join clock
where (finding = 'taken' and current or finding = 'missing' and read_at > now - 86400000)
  and proxy in (select name from proxies where configured = 1);

-- Events that do not arrive now, and those that may be lost of the last 24 hours.
create view collection_problems as
with open_gaps as (
  select
    gaps.*,
    name                                                                as name,
    clock.now                                                           as now,
    gaps.started_at + retention_seconds * 1000                          as kept_until,
    clock.now - retention_seconds * 1000                                as lost_before,
    coalesce(heartbeats.detail, gaps.detail, cause)                     as reason
  from gaps
  join proxies on proxies.id = gaps.proxy_id
  cross join clock
  -- The cause of today may be another one than that of the beginning.
  left join heartbeats
    on heartbeats.proxy_id = gaps.proxy_id
    and heartbeats.role = 'ingest'
    and heartbeats.state <> 'working'
  where gaps.ended_at is null and proxies.configured = 1
)
select
  iif(
    cause in ('proxy away', 'connection lost', 'collector stopped', 'collector killed'),
    'collection_waiting',
    'collection_blocked'
  )                                                                     as code,
  name                                                                  as subject,
  'proxy ' || proxy_id                                                  as alert_key,
  started_at                                                            as since,
  iif(kept_until > now, kept_until, lost_before)                         as until,
  iif(kept_until > now, 'kept_until', 'lost_before')                    as until_name,
  (now - started_at) / 1000                                             as value,
  alert_rules.threshold                                                 as threshold,
  json_object('proxy', name, 'detail', rtrim(reason, '.'))              as parameters,
  name                                                                  as proxy,
  coalesce(now - started_at > alert_rules.threshold * 1000, 0)          as long_enough
from open_gaps
left join alert_rules on alert_rules.rule = 'gap'
union all
select
  iif(maybe_missing >= coalesce(alert_rules.threshold, 1), 'events_lost', 'events_at_risk'),
  proxy,
  'gap ' || gap_id,
  started_at,
  ended_at,
  'until',
  maybe_missing,
  alert_rules.threshold,
  json_object('proxy', proxy, 'missing', maybe_missing, 'cause', cause),
  proxy,
  -- What the proxy kept meanwhile comes in within moments, in many batches.
  ended_at >= alert_horizons.gaps_from and ended_at < clock.now - 120000
from gap_estimates
cross join clock
cross join alert_horizons
left join alert_rules on alert_rules.rule = 'lost'
where gap_id in (
    -- The newest ones: each costs a look at the hours around it.
    select id
    from gaps
    cross join clock
    where ended_at > clock.now - 86400000
    order by ended_at desc
    limit 10
  )
  and (
    batches_at_risk > 0
    or maybe_missing > 0
    or retention_exceeded and maybe_missing is null
  )
  and proxy in (select name from proxies where configured = 1);

-- Records that were not understood in the last 24 hours, and events with an impossible time.
create view record_problems as
select
  'records_rejected'                      as code,
  'records'                               as subject,
  'records'                               as alert_key,
  min(received_at)                        as since,
  null                                    as until,
  null                                    as until_name,
  count(*)                                as value,
  null                                    as threshold,
  json_object('rejected', count(*))       as parameters,
  null                                    as proxy,
  1                                       as long_enough
from rejected_events
cross join clock
where received_at > now - 86400000 and replayed_at is null
having count(*) > 0
union all
select
  iif(side = 'past', 'events_of_the_past', 'events_of_the_future'),
  'events',
  'events of the ' || side,
  null,
  null,
  null,
  events,
  null,
  json_object('events', events),
  null,
  1
from clock_skew
where events > 0;

-- Accounts that need a person; those that are not polled at all, or not yet, have no problem.
create view account_problems as
with states as (
  select
    account_id                      as account_id,
    state                           as state,
    http_status                     as http_status,
    consecutive_failures            as failures,
    last_attempt_at                 as last_attempt_at,
    case
      when state = 'needs_login' then 'login_expired'
      when state = 'deactivated' then 'account_closed'
      when state = 'auth_error' and consecutive_failures >= 3 then 'login_refused'
      when state = 'wrong_workspace' then 'wrong_workspace'
      when state = 'unsupported_credential' then 'login_without_quota'
      when state = 'blocked_network' then 'network_blocked'
      when state = 'bad_response' and consecutive_failures >= 3 then 'answer_not_understood'
    end                             as code
  from quota_accounts
  where state not in ('ok', 'never', 'no_source') and disabled = 0
),
proxy_names as (
  select
    account_id                      as account_id,
    min(proxies.name)               as proxy
  from credential_files
  join proxies on proxies.id = credential_files.proxy_id
  group by account_id
  having count(distinct proxies.name) = 1
)
select
  states.code                       as code,
  named_accounts.account            as subject,
  'account ' || states.account_id   as alert_key,
  last_attempt_at                   as since,
  null                              as until,
  null                              as until_name,
  failures                          as value,
  null                              as threshold,
  json_object(
    'account', account, 'provider', provider, 'failures', failures, 'status', http_status
  )                                 as parameters,
  proxy_names.proxy                 as proxy,
  1                                 as long_enough
from states
join named_accounts using (account_id)
left join proxy_names using (account_id)
where code is not null
  and exists (select 1 from credential_files where credential_files.account_id = states.account_id);

-- Limits that are low or spent, those of a single model too, and models that an account may not
-- use now though others still work.
create view limit_problems as
with lowest as (
  select
    rules.rule                                        as rule,
    rules.threshold                                   as threshold,
    states.*,
    alerts.id is not null                             as is_open
  from enabled_alert_rules as rules
  cross join quota_window_states as states
  left join alerts
    on alerts.rule = rules.rule
    and alerts.subject = 'limit ' || window_id
    and alerts.ended_at is null
  where rules.rule = 'quota_low'
    and (gating = 1 or scope in ('model', 'feature', 'group'))
    -- Few windows need a closer look.
    and window_id in (
      select id
      from quota_windows
      where limit_reached = 1
        or used_percent > 98 - (select threshold from alert_rules where rule = 'quota_low')
    )
)
select
  iif(blocking or left_percent <= 0, 'limit_spent', 'limit_low')  as code,
  account                                             as subject,
  'limit ' || window_id                               as alert_key,
  lowest.observed_at                                  as since,
  resets_at                                           as until,
  'until'                                             as until_name,
  iif(blocking, 0.0, left_percent)                    as value,
  lowest.threshold                                    as threshold,
  json_object(
    'account', account, 'provider', provider, 'label', label, 'left', round(left_percent, 1)
  )                                                   as parameters,
  null                                                as proxy,
  1                                                   as long_enough
from lowest
join quota_accounts using (account_id)
where quota_accounts.disabled = 0
  and (not stale or is_open)
  and (
    blocking
    or left_percent <= 0
    -- An alert that is open ends a little beyond the threshold that it began at.
    or gating = 1 and left_percent < min(lowest.threshold + iif(is_open, 2, 0), 100)
  )
union all
select
  'models_blocked',
  account,
  'models ' || account_id || ' ' || group_name,
  decided_at,
  next_usable_at,
  'until',
  null,
  null,
  json_object('account', account, 'provider', provider, 'models', group_name),
  null,
  1
from enabled_alert_rules as rules
cross join group_verdicts as verdicts
where rules.rule = 'quota_low'
  and group_name <> ''
  and usable = 0
  -- The spent limit is a problem by itself.
  and reason <> 'window_spent'
  and exists (
    select 1
    from quota_verdicts as others
    where others.account_id = verdicts.account_id and others.usable = 1
  );

-- What the forecasts of limits say, and limits that have just reset.
create view forecast_problems as
select
  'limit_runs_out'                                    as code,
  account                                             as subject,
  'limit ' || forecasts.window_id                     as alert_key,
  -- Only an open alert gets here without a forecast: it keeps its parameters.
  runs_out_at                                         as since,
  forecasts.resets_at                                 as until,
  'until'                                             as until_name,
  coalesce((forecasts.resets_at - runs_out_at) / 60000, alerts.value) as value,
  rules.threshold                                     as threshold,
  coalesce(
    iif(runs_out_at is null, alerts.parameters, null),
    json_object('account', account, 'provider', provider, 'label', forecasts.label)
  )                                                   as parameters,
  null                                                as proxy,
  1                                                   as long_enough
from enabled_alert_rules as rules
cross join quota_window_forecasts as forecasts
join quota_windows on quota_windows.id = forecasts.window_id
join quota_accounts on quota_accounts.account_id = forecasts.account_id
left join alerts
  on alerts.rule = rules.rule
  and alerts.subject = 'limit ' || forecasts.window_id
  and alerts.ended_at is null
where rules.rule = 'runs_out'
  and forecasts.window_id in (
    select window_id from quota_forecasts where outcome = 'runs_out'
    union
    select cast(substr(subject, 7) as integer)
    from alerts
    where rule = 'runs_out' and ended_at is null
  )
  and gating = 1
  and quota_accounts.disabled = 0
  and iif(
    alerts.id is null,
    forecasts.resets_at - runs_out_at >= rules.threshold * 60000,
    outcome = 'runs_out' or left_over_percent < 5 or reason = 'stale'
  )
union all
select
  'limit_reset',
  account,
  'reset ' || resets.window_id || ' ' || resets.cycle,
  ended_at,
  null,
  null,
  left_percent,
  rules.threshold,
  json_object(
    'account', account,
    'provider', provider,
    'label', resets.label,
    'left', nullif(round(left_percent, 1), 0),
    'spent', iif(left_percent > 0, null, 1),
    'early', iif(early, 1, null)
  ),
  null,
  1
from enabled_alert_rules as rules
cross join alert_horizons
cross join quota_staleness
cross join quota_last_resets as resets
join quota_windows on quota_windows.id = resets.window_id
join account_poll_states as states on states.account_id = resets.account_id
where rules.rule = 'reset'
  -- What was left long before the end is not what was left at the end.
  and ended_at - quota_windows.last_at <= stale_ms
  and resets.gating = 1
  -- A correction by the provider is no reset.
  and (not early or next_used_percent < resets.used_percent - 20)
  and states.disabled = 0
  and ended_at >= alert_horizons.resets_from
  and left_percent < rules.threshold;

-- Failing attempts, and models without a price. An alert about failures ends below half of what it
-- began with.
create view traffic_problems as
with burst as (
  select
    coalesce(sum(requests), 0)                        as requests,
    -- What a client has cancelled is no failure.
    coalesce(sum(failed - coalesce(cancelled, 0)), 0) as failed,
    max(clock.now - 600000)                           as from_at
  from clock
  join total_rollup
    on resolution = 1
    and bucket_at >= clock.now - clock.now % 60000 - 600000
    and bucket_at <= clock.now
)
select
  'attempts_failing'          as code,
  'attempts'                  as subject,
  'attempts'                  as alert_key,
  burst.from_at               as since,
  null                        as until,
  null                        as until_name,
  100.0 * failed / requests   as value,
  rules.threshold             as threshold,
  json_object(
    'failed', failed,
    'requests', requests,
    'percent', failed * 100 / requests,
    'status', (
      select status_code
      from (
        select status_code
        from usage_events indexed by failed_events_by_time
        where failed = 1 and cancelled = 0 and occurred_at >= burst.from_at
        order by occurred_at desc
        limit 500
      )
      group by status_code
      order by count(*) desc
      limit 1
    )
  )                           as parameters,
  null                        as proxy,
  1                           as long_enough
from enabled_alert_rules as rules
cross join burst
left join alerts
  on alerts.rule = rules.rule
  and alerts.subject = 'attempts'
  and alerts.ended_at is null
where rules.rule = 'failures'
  and failed >= (select threshold from alert_rules where rule = 'failed_attempts')
    / iif(alerts.id is null, 1, 2)
  and 100.0 * failed / requests >= rules.threshold / iif(alerts.id is null, 1, 2)
union all
select
  'model_unpriced',
  models.name,
  'model ' || models.model_id,
  models.first_at,
  null,
  null,
  models.requests,
  models.threshold,
  json_object(
    'model', models.name,
    'requests', models.requests,
    'reason', models.reason,
    'remedy', 'remedy: ' || models.reason
  ),
  null,
  1
from (
  select
    known_models.name      as name,
    model_rollup.model_id  as model_id,
    min(bucket_at)         as first_at,
    sum(unpriced)          as requests,
    rules.threshold        as threshold,
    -- A reason that asks for a price comes before those about which nothing can be done.
    coalesce(
      (
        select cost_reasons.reason
        from cost_reasons
        where exists (
          select 1
          from usage_events indexed by events_without_cost
          where cost_reason = cost_reasons.id
            and cost_reason is not null
            and usage_events.model_id = model_rollup.model_id
        )
        order by cost_reasons.id in (1, 5) desc, cost_reasons.id
        limit 1
      ),
      'no price'
    )                      as reason
  from enabled_alert_rules as rules
  cross join clock
  cross join model_rollup
    on resolution = 4 and bucket_at >= clock.now - clock.now % 86400000 - 604800000
  join known_models on known_models.id = model_rollup.model_id
  where rules.rule = 'unpriced' and unpriced > 0
  group by model_rollup.model_id
  having sum(unpriced) >= rules.threshold
) as models;

-- A provider is down when many of its accounts fail at once: at least three, and a share of those
-- in use. What counts are attempts that all failed with an error of the server, and polls.
create view provider_problems as
with by_credential as materialized (
  select
    credential_id                                     as credential_id,
    sum(requests - coalesce(cancelled, 0))            as requests,
    sum(failed - coalesce(cancelled, 0))              as failed
  from clock
  join credential_rollup
    on resolution = 1
    and bucket_at >= clock.now - clock.now % 60000 - 600000
    and bucket_at <= clock.now
  group by credential_id
),
recent as materialized (
  select
    provider                                          as provider,
    account_id                                        as account_id,
    sum(requests)                                     as requests,
    sum(failed)                                       as failed
  from by_credential
  join credentials on credentials.id = credential_id
  group by provider, account_id
),
server_errors as materialized (
  select
    provider                                          as provider,
    account_id                                        as account_id,
    count(*)                                          as failed,
    max(status_code)                                  as status_code
  from clock
  join usage_events indexed by failed_events_by_time
    on usage_events.failed = 1
    and cancelled = 0
    and occurred_at >= clock.now - clock.now % 60000 - 600000
    and occurred_at <= clock.now
    and (status_code >= 500 or coalesce(status_code, 0) in (0, 200))
  join credentials on credentials.id = credential_id
  -- Nothing is read of single events while few accounts fail.
  where (select count(*) from recent where failed > 0 and failed = requests) >= 3
  group by provider, account_id
),
evidence as (
  select
    recent.provider                                   as provider,
    count(*)                                          as accounts,
    sum(recent.failed > 0 and recent.failed = requests and coalesce(server_errors.failed, 0) * 2 > recent.failed)
                                                      as failing,
    max(server_errors.status_code)                    as status
  from recent
  left join server_errors using (provider, account_id)
  group by recent.provider
  union all
  select
    known_accounts.provider,
    count(*),
    sum(state = 'unavailable' and error_code is not 'proxy_unusable'),
    max(case when state = 'unavailable' then http_status end)
  from quota_accounts
  join known_accounts on known_accounts.id = account_id
  where disabled = 0 and state not in ('never', 'no_source', 'needs_login', 'deactivated')
  group by known_accounts.provider
)
select
  'provider_down'                                     as code,
  provider                                            as subject,
  'provider ' || provider                             as alert_key,
  null                                                as since,
  null                                                as until,
  null                                                as until_name,
  max(100.0 * failing / accounts)                     as value,
  rules.threshold                                     as threshold,
  json_object('provider', provider, 'failing', failing, 'accounts', accounts, 'status', status)
                                                      as parameters,
  null                                                as proxy,
  1                                                   as long_enough
from enabled_alert_rules as rules
cross join evidence
where rules.rule = 'provider_down'
  and failing >= 3
  and 100.0 * failing / accounts >= rules.threshold
group by provider;

-- Budgets: one that is spent is no longer near; one whose account or client is not in the ledger
-- counts nothing.
create view budget_problems as
with states as materialized (
  select
    budget_states.*,
    case
      when state = 'unknown name' then 'budget_of_nothing'
      when percent >= spent.threshold then 'budget_spent'
      when percent >= near.threshold then 'budget_near'
    end                                               as code,
    spent.threshold                                   as spent_threshold,
    near.threshold                                    as near_threshold
  from budget_states
  left join enabled_alert_rules as spent on spent.rule = 'budget_spent'
  left join enabled_alert_rules as near on near.rule = 'budget_near'
)
select
  code                                                as code,
  budget                                              as subject,
  'budget ' || budget || ' ' || from_day              as alert_key,
  starts_at                                           as since,
  ends_at                                             as until,
  'until'                                             as until_name,
  percent                                             as value,
  iif(code = 'budget_spent', spent_threshold, near_threshold) as threshold,
  json_object(
    'budget', budget,
    'named', nullif(named, ''),
    'tokens', case when unit = 'tokens' then cast(spent as integer) end,
    'tokens_allowed', case when unit = 'tokens' then cast(amount as integer) end,
    'dollars', case when unit = 'dollars' then spent end,
    'dollars_allowed', case when unit = 'dollars' then amount end,
    'unpriced', case when unit = 'dollars' and unpriced > 0 then unpriced end,
    'percent', cast(percent as integer),
    'per', per
  )                                                   as parameters,
  null                                                as proxy,
  1                                                   as long_enough
from states
where code is not null;

-- Everything that is wrong now. since and until are in the parameters too, in local time: the hour
-- alone where it is the same day. notify: 1 where the rule of the problem is switched on and the
-- problem has lasted long enough, so that it is worth a message.
create view problems as
with conditions as materialized (
  select * from worker_problems
  union all
  select * from proxy_problems
  union all
  select * from collection_problems
  union all
  select * from record_problems
  union all
  select * from account_problems
  union all
  select * from limit_problems
  union all
  select * from forecast_problems
  union all
  select * from traffic_problems
  union all
  select * from provider_problems
  union all
  select * from budget_problems
),
localized as materialized (
  select
    conditions.*,
    (now + (
      select offset_ms
      from zone_offsets
      where starts_at <= now and now < ends_at
      order by starts_at desc
      limit 1
    )) / 1000 as now_local,
    (since + (
      select offset_ms
      from zone_offsets
      where starts_at <= since and since < ends_at
      order by starts_at desc
      limit 1
    )) / 1000 as since_local,
    (until + (
      select offset_ms
      from zone_offsets
      where starts_at <= until and until < ends_at
      order by starts_at desc
      limit 1
    )) / 1000 as until_local
  from conditions
  cross join clock
),
formatted as materialized (
  select
    *,
    strftime(
      iif(date(since_local, 'unixepoch') = date(now_local, 'unixepoch'), '%H:%M', '%Y-%m-%d %H:%M'),
      since_local,
      'unixepoch'
    ) as since_text,
    strftime(
      iif(date(until_local, 'unixepoch') = date(now_local, 'unixepoch'), '%H:%M', '%Y-%m-%d %H:%M'),
      until_local,
      'unixepoch'
    ) as until_text
  from localized
)
select
  formatted.code                                      as code,
  problem_codes.severity                              as severity,
  problem_codes.kind                                  as kind,
  formatted.subject                                   as subject,
  formatted.since                                     as since,
  formatted.value                                     as value,
  formatted.threshold                                 as threshold,
  json_patch(
    json_object('since', since_text, coalesce(until_name, 'until'), until_text),
    formatted.parameters
  )                                                   as parameters,
  formatted.proxy                                     as proxy,
  problem_codes.rule                                  as rule,
  formatted.alert_key                                 as alert_key,
  formatted.long_enough and coalesce(alert_rules.enabled, 0) as notify,
  problem_codes.tells_over                            as tells_over
from formatted
join problem_codes on problem_codes.code = formatted.code
left join alert_rules on alert_rules.rule = problem_codes.rule;

-- What a state page shows beside the problems: workers that work, what proxies are, from when on
-- was collected, and that the numbers add up.
create view state_facts as
select
  iif(state = 'working', 'worker_working', 'worker_stopped')  as code,
  iif(state = 'working', 'ok', 'off')                         as state,
  worker                                                      as subject,
  beat_at                                                     as since,
  json_object('worker', worker, 'detail', detail)             as parameters,
  proxy                                                       as proxy
from worker_states
where state = 'working' or state = 'stopped' and role not in ('ingest', 'quota')
union all
select
  iif(asked_at is null, 'proxy_not_asked', 'proxy_known'),
  iif(asked_at is null, 'unknown', 'ok'),
  name,
  asked_at,
  json_object(
    'proxy', name,
    'version', version,
    'statistics', iif(statistics_enabled = 1, 1, null),
    'seconds', retention_seconds
  ),
  name
from proxies
where configured = 1
union all
-- Of a proxy that the settings name no longer there is only the time of its collection.
select
  case
    when first_pop_at is null then 'nothing_collected'
    when configured = 0 then 'collected_until'
    else 'collected_since'
  end,
  iif(first_pop_at is null, 'unknown', 'ok'),
  name,
  last_pop_at,
  json_object(
    'proxy', name,
    'first', datetime(first_pop_at / 1000, 'unixepoch'),
    'last', datetime(last_pop_at / 1000, 'unixepoch')
  ),
  name
from proxies
where configured = 1 or first_pop_at is not null
union all
select
  'counters_agree',
  'ok',
  proxy,
  read_at,
  json_object(
    'proxy', proxy, 'counted', counted, 'stored', stored, 'missing', nullif(missing, 0)
  ),
  proxy
from proxy_run_counts
where current
  and finding = 'ok'
  and proxy in (select name from proxies where configured = 1)
union all
select
  'gaps_recorded',
  'ok',
  'gaps',
  max(started_at),
  json_object(
    'gaps', count(*),
    'exceeded', coalesce(sum(retention_exceeded), 0),
    'batches', coalesce(sum(batches_at_risk), 0)
  ),
  null
from collection_gaps
where proxy in (select name from proxies where configured = 1)
union all
select
  'accounting',
  'ok',
  'accounting',
  max(hour_at),
  json_object(
    'received', coalesce(sum(received), 0),
    'stored', coalesce(sum(stored), 0),
    'duplicate', coalesce(sum(duplicate), 0),
    'rejected', coalesce(sum(rejected), 0),
    'replayed', (select nullif(count(*), 0) from rejected_events where replayed_at is not null)
  ),
  null
from ingest_ledger
union all
select
  'events_kept',
  'ok',
  'events',
  raw_complete_from,
  json_object(
    'first', date(raw_complete_from / 1000, 'unixepoch'),
    'deleted', events_deleted
  ),
  null
from rollup_state
where raw_complete_from > 0;

-- A delivery to a receiver that the settings name no longer is not pending.
create view alert_episodes as
select
  alerts.id                                           as id,
  iif(alerts.ended_at is null, 'open', 'over')        as state,
  alerts.severity                                     as severity,
  alerts.rule                                         as rule,
  alerts.subject                                      as subject,
  alerts.sentence                                     as sentence,
  alerts.code                                         as code,
  alerts.parameters                                   as parameters,
  alerts.value                                        as value,
  alerts.threshold                                    as threshold,
  alerts.own                                          as own,
  datetime((began_at + coalesce(began.offset_ms, 0)) / 1000, 'unixepoch')
                                                      as began_local,
  datetime((ended_at + coalesce(ended.offset_ms, 0)) / 1000, 'unixepoch')
                                                      as ended_local,
  began_at                                            as began_at,
  ended_at                                            as ended_at,
  (
    select count(*)
    from alert_deliveries
    where alert_id = alerts.id and part = 'begin' and sent_at is not null
  )                                                   as notified,
  (
    select count(*)
    from alert_deliveries
    join alert_receivers on alert_receivers.id = alert_deliveries.receiver_id
    where alert_id = alerts.id and sent_at is null and configured = 1
  )                                                   as pending
from alerts
left join zone_offsets as began
  on began.starts_at <= began_at and began_at < began.ends_at
left join zone_offsets as ended
  on ended.starts_at <= ended_at and ended_at < ended.ends_at;

-- What is worth a message now, of both kinds of rules. Only the alerts worker evaluates custom
-- rules, so that theirs are the open episodes.
create view current_alerts as
select
  rule        as rule,
  alert_key   as subject,
  severity    as severity,
  code        as code,
  parameters  as parameters,
  null        as sentence,
  value       as value,
  threshold   as threshold,
  0           as own
from problems
where notify
union all
select
  rule,
  subject,
  severity,
  code,
  parameters,
  sentence,
  value,
  threshold,
  own
from alert_episodes
where own = 1 and state = 'open';
