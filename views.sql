-- Every derived number. Instants are ms (UTC) inside and text outside; local means the
-- configured time zone. Nothing here needs more than SQLite 3.40 itself.

-- The time that every other view goes by.
create view clock as
select cast((julianday('now') - 2440587.5) * 86400000 as integer) as now;

-- The named windows. Each ends now; its start is floored to the minute, from 7d on to the hour.
create view windows as
with named (window, length_ms, floor_ms) as (
  values
    ('1h', 3600000, 60000),
    ('5h', 18000000, 60000),
    ('24h', 86400000, 60000),
    ('7d', 604800000, 3600000),
    ('30d', 2592000000, 3600000),
    ('90d', 7776000000, 3600000)
)
select
  'today'         as window,
  days.starts_at  as starts_at,
  clock.now       as ends_at
from clock
join local_days as days on days.starts_at <= clock.now and clock.now < days.ends_at
union all
select
  named.window                                                  as window,
  clock.now - length_ms - (clock.now - length_ms) % floor_ms    as starts_at,
  clock.now                                                     as ends_at
from named
cross join clock;

-- What a query can be asked for: a named window, or a custom range of whole local days.
-- Name one (window, from_day and to_day): there are as many ranges as pairs of days.
create view spans as
select
  window     as window,
  ''         as from_day,
  ''         as to_day,
  starts_at  as starts_at,
  ends_at    as ends_at
from windows
union all
select
  'custom'         as window,
  first.day        as from_day,
  last.day         as to_day,
  first.starts_at  as starts_at,
  last.ends_at     as ends_at
from local_days as first
join local_days as last on last.day >= first.day;

-- Where the buckets of each ladder begin and end inside a span. The last bucket reaches beyond it.
create view span_bounds as
select
  window                                                      as window,
  from_day                                                    as from_day,
  to_day                                                      as to_day,
  starts_at                                                   as starts_at,
  ends_at                                                     as ends_at,
  ladder                                                      as ladder,
  fine                                                        as fine,
  middle                                                      as middle,
  coarse                                                      as coarse,
  coarse is null and ladder like '%series'                    as is_series,
  (starts_at + f.length_ms - 1) / f.length_ms * f.length_ms   as fine_from,
  (ends_at + f.length_ms - 1) / f.length_ms * f.length_ms     as fine_until,
  (starts_at + m.length_ms - 1) / m.length_ms * m.length_ms   as middle_from,
  (ends_at + m.length_ms - 1) / m.length_ms * m.length_ms     as middle_until,
  iif(
    coarse is null,
    9e18,
    (starts_at + c.length_ms - 1) / c.length_ms * c.length_ms
  )                                                           as coarse_from,
  iif(
    coarse is null,
    0,
    (ends_at + c.length_ms - 1) / c.length_ms * c.length_ms
  )                                                           as coarse_until,
  recent_from                                                 as recent_from,
  -- A series of local hours cannot come from UTC hours where an offset is not whole.
  ladder <> 'hour series' or not exists (
    select 1 from zone_offsets where offset_ms % 3600000 <> 0
  )                                                           as has_middle
from spans
cross join rollup_state
cross join ladders
join grains as f on f.grain = ladders.fine
join grains as m on m.grain = ladders.middle
left join grains as c on c.grain = ladders.coarse;

-- A span cut into the pieces that rollups answer. Grain 0 is raw events: before the first bucket,
-- where no bucket is kept, and with sign -1 those that the last bucket holds beyond the span.
create view span_parts as
with pieces (piece) as (values (1), (2), (3), (4), (5)),
marked as (
  select
    *,
    fine_from >= recent_from and fine_from < middle_from and fine_from < fine_until as has_fine
  from span_bounds
)
select
  window         as window,
  from_day       as from_day,
  to_day         as to_day,
  ladder         as ladder,
  is_series      as is_series,
  case piece
    when 2 then fine
    when 3 then iif(has_middle, middle, 0)
    when 4 then coarse
    else 0
  end            as grain,
  case piece
    when 1 then starts_at
    when 2 then fine_from
    when 3 then middle_from
    when 4 then coarse_from
    else ends_at
  end            as from_at,
  case piece
    when 1 then iif(has_fine, fine_from, min(middle_from, ends_at))
    when 2 then iif(has_fine, min(middle_from, fine_until), 0)
    when 3 then min(coarse_from, iif(has_middle, middle_until, ends_at))
    when 4 then coarse_until
    else case
      when coarse_from < coarse_until then coarse_until
      when middle_from < middle_until then iif(has_middle, middle_until, ends_at)
      else iif(has_fine, fine_until, ends_at)
    end
  end            as until_at,
  iif(piece = 5, -1, 1) as sign
from marked
cross join pieces;

-- What a span used, not yet added up: sum over these rows with a span and is_series named.
create view total_pieces as
select
  part.window              as window,
  part.from_day            as from_day,
  part.to_day              as to_day,
  part.is_series           as is_series,
  sums.bucket_at           as bucket_at,
  sums.requests            as requests,
  sums.failed              as failed,
  sums.input_tokens        as input_tokens,
  sums.cached_tokens       as cached_tokens,
  sums.cache_write_tokens  as cache_write_tokens,
  sums.output_tokens       as output_tokens,
  sums.reasoning_tokens    as reasoning_tokens,
  sums.unclassified_tokens as unclassified_tokens,
  sums.cost_microdollars   as cost_microdollars,
  sums.unpriced            as unpriced
from span_parts as part
cross join total_rollup as sums
  on sums.grain = part.grain
  and sums.bucket_at >= part.from_at
  and sums.bucket_at < part.until_at
where part.ladder in ('quarter', 'quarter series')
union all
select
  part.window                                as window,
  part.from_day                              as from_day,
  part.to_day                                as to_day,
  part.is_series                             as is_series,
  occurred_at                                as bucket_at,
  part.sign                                  as requests,
  part.sign * failed                         as failed,
  part.sign * input_tokens                   as input_tokens,
  part.sign * cached_tokens                  as cached_tokens,
  part.sign * cache_write_tokens             as cache_write_tokens,
  part.sign * output_tokens                  as output_tokens,
  part.sign * reasoning_tokens               as reasoning_tokens,
  part.sign * unclassified_tokens            as unclassified_tokens,
  part.sign * coalesce(cost_microdollars, 0) as cost_microdollars,
  part.sign * (cost_microdollars is null)    as unpriced
from span_parts as part
cross join usage_events
  on usage_events.occurred_at >= part.from_at
  and usage_events.occurred_at < part.until_at
where part.ladder in ('quarter', 'quarter series') and part.grain = 0;

-- The same by model, with what its speed is worked out from.
create view model_pieces as
select
  part.window              as window,
  part.from_day            as from_day,
  part.to_day              as to_day,
  part.is_series           as is_series,
  sums.bucket_at           as bucket_at,
  sums.model_id            as model_id,
  sums.requests            as requests,
  sums.failed              as failed,
  sums.input_tokens        as input_tokens,
  sums.cached_tokens       as cached_tokens,
  sums.cache_write_tokens  as cache_write_tokens,
  sums.output_tokens       as output_tokens,
  sums.reasoning_tokens    as reasoning_tokens,
  sums.unclassified_tokens as unclassified_tokens,
  sums.cost_microdollars   as cost_microdollars,
  sums.unpriced            as unpriced,
  sums.timed_ms            as timed_ms,
  sums.timed_tokens        as timed_tokens,
  sums.streamed_ms         as streamed_ms,
  sums.streamed_tokens     as streamed_tokens
from span_parts as part
cross join model_rollup as sums
  on sums.grain = part.grain
  and sums.bucket_at >= part.from_at
  and sums.bucket_at < part.until_at
where part.ladder in ('quarter', 'quarter series')
union all
select
  part.window                                                                 as window,
  part.from_day                                                               as from_day,
  part.to_day                                                                 as to_day,
  part.is_series                                                              as is_series,
  occurred_at                                                                 as bucket_at,
  model_id                                                                    as model_id,
  part.sign                                                                   as requests,
  part.sign * failed                                                          as failed,
  part.sign * input_tokens                                                    as input_tokens,
  part.sign * cached_tokens                                                   as cached_tokens,
  part.sign * cache_write_tokens                                              as cache_write_tokens,
  part.sign * output_tokens                                                   as output_tokens,
  part.sign * reasoning_tokens                                                as reasoning_tokens,
  part.sign * unclassified_tokens                                             as unclassified_tokens,
  part.sign * coalesce(cost_microdollars, 0)                                  as cost_microdollars,
  part.sign * (cost_microdollars is null)                                     as unpriced,
  part.sign * iif(is_timed, latency_ms, 0)                                    as timed_ms,
  part.sign * iif(is_timed, output_tokens, 0)                                 as timed_tokens,
  part.sign * iif(is_timed and ttft_ms < latency_ms, latency_ms - ttft_ms, 0) as streamed_ms,
  part.sign * iif(is_timed and ttft_ms < latency_ms, output_tokens, 0)        as streamed_tokens
from span_parts as part
cross join (
  select
    *,
    not failed and not warm_up and latency_ms > 0 and output_tokens > 0 as is_timed
  from usage_events
) as usage_events
  on usage_events.occurred_at >= part.from_at
  and usage_events.occurred_at < part.until_at
where part.ladder in ('quarter', 'quarter series') and part.grain = 0;

-- The same by client key; client 0 is none.
create view client_pieces as
select
  part.window              as window,
  part.from_day            as from_day,
  part.to_day              as to_day,
  part.is_series           as is_series,
  sums.bucket_at           as bucket_at,
  sums.client_id           as client_id,
  sums.requests            as requests,
  sums.failed              as failed,
  sums.input_tokens        as input_tokens,
  sums.cached_tokens       as cached_tokens,
  sums.cache_write_tokens  as cache_write_tokens,
  sums.output_tokens       as output_tokens,
  sums.reasoning_tokens    as reasoning_tokens,
  sums.unclassified_tokens as unclassified_tokens,
  sums.cost_microdollars   as cost_microdollars,
  sums.unpriced            as unpriced
from span_parts as part
cross join client_rollup as sums
  on sums.grain = part.grain
  and sums.bucket_at >= part.from_at
  and sums.bucket_at < part.until_at
where part.ladder in ('quarter', 'quarter series')
union all
select
  part.window                                as window,
  part.from_day                              as from_day,
  part.to_day                                as to_day,
  part.is_series                             as is_series,
  occurred_at                                as bucket_at,
  coalesce(client_id, 0)                     as client_id,
  part.sign                                  as requests,
  part.sign * failed                         as failed,
  part.sign * input_tokens                   as input_tokens,
  part.sign * cached_tokens                  as cached_tokens,
  part.sign * cache_write_tokens             as cache_write_tokens,
  part.sign * output_tokens                  as output_tokens,
  part.sign * reasoning_tokens               as reasoning_tokens,
  part.sign * unclassified_tokens            as unclassified_tokens,
  part.sign * coalesce(cost_microdollars, 0) as cost_microdollars,
  part.sign * (cost_microdollars is null)    as unpriced
from span_parts as part
cross join usage_events
  on usage_events.occurred_at >= part.from_at
  and usage_events.occurred_at < part.until_at
where part.ladder in ('quarter', 'quarter series') and part.grain = 0;

-- Each credential with the account that it belongs to.
create view named_credentials as
select
  credentials.id          as credential_id,
  known_accounts.id       as account_id,
  known_accounts.label    as account,
  credentials.provider    as provider,
  credentials.auth_index  as auth_index,
  credentials.auth_type   as auth_type,
  credentials.proxy_id    as proxy_id,
  proxies.name            as proxy
from credentials
join known_accounts on known_accounts.id = credentials.account_id
join proxies on proxies.id = credentials.proxy_id;

-- The same by credential.
create view credential_pieces as
select
  part.window              as window,
  part.from_day            as from_day,
  part.to_day              as to_day,
  part.is_series           as is_series,
  sums.bucket_at           as bucket_at,
  sums.credential_id       as credential_id,
  sums.requests            as requests,
  sums.failed              as failed,
  sums.input_tokens        as input_tokens,
  sums.cached_tokens       as cached_tokens,
  sums.cache_write_tokens  as cache_write_tokens,
  sums.output_tokens       as output_tokens,
  sums.reasoning_tokens    as reasoning_tokens,
  sums.unclassified_tokens as unclassified_tokens,
  sums.cost_microdollars   as cost_microdollars,
  sums.unpriced            as unpriced
from span_parts as part
cross join credential_rollup as sums
  on sums.grain = part.grain
  and sums.bucket_at >= part.from_at
  and sums.bucket_at < part.until_at
where part.ladder in ('hour')
union all
select
  part.window                                as window,
  part.from_day                              as from_day,
  part.to_day                                as to_day,
  part.is_series                             as is_series,
  occurred_at                                as bucket_at,
  credential_id                              as credential_id,
  part.sign                                  as requests,
  part.sign * failed                         as failed,
  part.sign * input_tokens                   as input_tokens,
  part.sign * cached_tokens                  as cached_tokens,
  part.sign * cache_write_tokens             as cache_write_tokens,
  part.sign * output_tokens                  as output_tokens,
  part.sign * reasoning_tokens               as reasoning_tokens,
  part.sign * unclassified_tokens            as unclassified_tokens,
  part.sign * coalesce(cost_microdollars, 0) as cost_microdollars,
  part.sign * (cost_microdollars is null)    as unpriced
from span_parts as part
cross join usage_events
  on usage_events.occurred_at >= part.from_at
  and usage_events.occurred_at < part.until_at
where part.ladder in ('hour') and part.grain = 0;

-- The same for the credentials of one account, which must be named too.
create view account_pieces as
select
  part.window              as window,
  part.from_day            as from_day,
  part.to_day              as to_day,
  part.is_series           as is_series,
  sums.bucket_at           as bucket_at,
  named.account            as account,
  named.credential_id      as credential_id,
  sums.requests            as requests,
  sums.failed              as failed,
  sums.input_tokens        as input_tokens,
  sums.cached_tokens       as cached_tokens,
  sums.cache_write_tokens  as cache_write_tokens,
  sums.output_tokens       as output_tokens,
  sums.reasoning_tokens    as reasoning_tokens,
  sums.unclassified_tokens as unclassified_tokens,
  sums.cost_microdollars   as cost_microdollars,
  sums.unpriced            as unpriced
from named_credentials as named
cross join span_parts as part
cross join credential_rollup as sums
  on sums.grain = part.grain
  and sums.bucket_at >= part.from_at
  and sums.bucket_at < part.until_at
  and sums.credential_id = named.credential_id
where part.ladder in ('hour', 'hour series')
union all
select
  part.window                                as window,
  part.from_day                              as from_day,
  part.to_day                                as to_day,
  part.is_series                             as is_series,
  occurred_at                                as bucket_at,
  named.account                              as account,
  named.credential_id                        as credential_id,
  part.sign                                  as requests,
  part.sign * failed                         as failed,
  part.sign * input_tokens                   as input_tokens,
  part.sign * cached_tokens                  as cached_tokens,
  part.sign * cache_write_tokens             as cache_write_tokens,
  part.sign * output_tokens                  as output_tokens,
  part.sign * reasoning_tokens               as reasoning_tokens,
  part.sign * unclassified_tokens            as unclassified_tokens,
  part.sign * coalesce(cost_microdollars, 0) as cost_microdollars,
  part.sign * (cost_microdollars is null)    as unpriced
from named_credentials as named
cross join span_parts as part
cross join usage_events
  on usage_events.occurred_at >= part.from_at
  and usage_events.occurred_at < part.until_at
  and usage_events.credential_id = named.credential_id
where part.ladder in ('hour', 'hour series') and part.grain = 0;

-- One account by model; the account must be named too.
create view account_model_pieces as
select
  part.window              as window,
  part.from_day            as from_day,
  part.to_day              as to_day,
  part.is_series           as is_series,
  sums.bucket_at           as bucket_at,
  named.account            as account,
  sums.model_id            as model_id,
  sums.requests            as requests,
  sums.failed              as failed,
  sums.input_tokens        as input_tokens,
  sums.cached_tokens       as cached_tokens,
  sums.cache_write_tokens  as cache_write_tokens,
  sums.output_tokens       as output_tokens,
  sums.reasoning_tokens    as reasoning_tokens,
  sums.unclassified_tokens as unclassified_tokens,
  sums.cost_microdollars   as cost_microdollars,
  sums.unpriced            as unpriced
from named_credentials as named
cross join span_parts as part
cross join credential_rollup as active
  on active.grain = part.grain
  and active.bucket_at >= part.from_at
  and active.bucket_at < part.until_at
  and active.credential_id = named.credential_id
cross join known_models
cross join credential_model_rollup as sums
  on sums.grain = part.grain
  and sums.model_id = known_models.id
  and sums.bucket_at = active.bucket_at
  and sums.credential_id = named.credential_id
where part.ladder in ('pair')
union all
select
  part.window                                as window,
  part.from_day                              as from_day,
  part.to_day                                as to_day,
  part.is_series                             as is_series,
  occurred_at                                as bucket_at,
  named.account                              as account,
  model_id                                   as model_id,
  part.sign                                  as requests,
  part.sign * failed                         as failed,
  part.sign * input_tokens                   as input_tokens,
  part.sign * cached_tokens                  as cached_tokens,
  part.sign * cache_write_tokens             as cache_write_tokens,
  part.sign * output_tokens                  as output_tokens,
  part.sign * reasoning_tokens               as reasoning_tokens,
  part.sign * unclassified_tokens            as unclassified_tokens,
  part.sign * coalesce(cost_microdollars, 0) as cost_microdollars,
  part.sign * (cost_microdollars is null)    as unpriced
from named_credentials as named
cross join span_parts as part
cross join usage_events
  on usage_events.occurred_at >= part.from_at
  and usage_events.occurred_at < part.until_at
  and usage_events.credential_id = named.credential_id
where part.ladder in ('pair') and part.grain = 0;

-- One model by credential; the model must be named too.
create view model_account_pieces as
select
  part.window              as window,
  part.from_day            as from_day,
  part.to_day              as to_day,
  part.is_series           as is_series,
  sums.bucket_at           as bucket_at,
  known_models.name        as model,
  sums.credential_id       as credential_id,
  sums.requests            as requests,
  sums.failed              as failed,
  sums.input_tokens        as input_tokens,
  sums.cached_tokens       as cached_tokens,
  sums.cache_write_tokens  as cache_write_tokens,
  sums.output_tokens       as output_tokens,
  sums.reasoning_tokens    as reasoning_tokens,
  sums.unclassified_tokens as unclassified_tokens,
  sums.cost_microdollars   as cost_microdollars,
  sums.unpriced            as unpriced
from known_models
cross join span_parts as part
cross join credential_model_rollup as sums
  on sums.grain = part.grain
  and sums.bucket_at >= part.from_at
  and sums.bucket_at < part.until_at
  and sums.model_id = known_models.id
where part.ladder in ('pair')
union all
select
  part.window                                as window,
  part.from_day                              as from_day,
  part.to_day                                as to_day,
  part.is_series                             as is_series,
  occurred_at                                as bucket_at,
  known_models.name                          as model,
  credential_id                              as credential_id,
  part.sign                                  as requests,
  part.sign * failed                         as failed,
  part.sign * input_tokens                   as input_tokens,
  part.sign * cached_tokens                  as cached_tokens,
  part.sign * cache_write_tokens             as cache_write_tokens,
  part.sign * output_tokens                  as output_tokens,
  part.sign * reasoning_tokens               as reasoning_tokens,
  part.sign * unclassified_tokens            as unclassified_tokens,
  part.sign * coalesce(cost_microdollars, 0) as cost_microdollars,
  part.sign * (cost_microdollars is null)    as unpriced
from known_models
cross join span_parts as part
cross join usage_events
  on usage_events.occurred_at >= part.from_at
  and usage_events.occurred_at < part.until_at
  and +usage_events.model_id = known_models.id
where part.ladder in ('pair') and part.grain = 0;

-- Each client key; client 0 stands for none.
create view named_clients as
select
  id     as client_id,
  label  as client
from known_clients
union all
select 0, '(none)';

-- One client key by model; the client must be named too.
create view client_model_pieces as
select
  part.window              as window,
  part.from_day            as from_day,
  part.to_day              as to_day,
  part.is_series           as is_series,
  sums.bucket_at           as bucket_at,
  named_clients.client     as client,
  sums.model_id            as model_id,
  sums.requests            as requests,
  sums.failed              as failed,
  sums.input_tokens        as input_tokens,
  sums.cached_tokens       as cached_tokens,
  sums.cache_write_tokens  as cache_write_tokens,
  sums.output_tokens       as output_tokens,
  sums.reasoning_tokens    as reasoning_tokens,
  sums.unclassified_tokens as unclassified_tokens,
  sums.cost_microdollars   as cost_microdollars,
  sums.unpriced            as unpriced
from named_clients
cross join span_parts as part
cross join client_model_rollup as sums
  on sums.grain = part.grain
  and sums.bucket_at >= part.from_at
  and sums.bucket_at < part.until_at
  and sums.client_id = named_clients.client_id
where part.ladder in ('pair')
union all
select
  part.window                                as window,
  part.from_day                              as from_day,
  part.to_day                                as to_day,
  part.is_series                             as is_series,
  occurred_at                                as bucket_at,
  named_clients.client                       as client,
  model_id                                   as model_id,
  part.sign                                  as requests,
  part.sign * failed                         as failed,
  part.sign * input_tokens                   as input_tokens,
  part.sign * cached_tokens                  as cached_tokens,
  part.sign * cache_write_tokens             as cache_write_tokens,
  part.sign * output_tokens                  as output_tokens,
  part.sign * reasoning_tokens               as reasoning_tokens,
  part.sign * unclassified_tokens            as unclassified_tokens,
  part.sign * coalesce(cost_microdollars, 0) as cost_microdollars,
  part.sign * (cost_microdollars is null)    as unpriced
from named_clients
cross join span_parts as part
cross join usage_events
  on usage_events.occurred_at >= part.from_at
  and usage_events.occurred_at < part.until_at
  and coalesce(usage_events.client_id, 0) = named_clients.client_id
where part.ladder in ('pair') and part.grain = 0;

-- How many successful attempts of a span took about so long: kind 1 latency, 2 time to first token.
create view latency_pieces as
select
  part.window   as window,
  part.from_day as from_day,
  part.to_day   as to_day,
  sums.kind     as kind,
  sums.ms       as ms,
  sums.requests as requests
from span_parts as part
cross join latency_rollup as sums
  on sums.grain = part.grain
  and sums.bucket_at >= part.from_at
  and sums.bucket_at < part.until_at
where part.ladder = 'hour'
union all
select
  part.window                                                                                        as window,
  part.from_day                                                                                      as from_day,
  part.to_day                                                                                        as to_day,
  1                                                                                                  as kind,
  (
    select ms from latency_buckets where from_ms <= latency_ms order by from_ms desc limit 1
  ) as ms,
  part.sign                                                                                          as requests
from span_parts as part
cross join usage_events
  on usage_events.occurred_at >= part.from_at
  and usage_events.occurred_at < part.until_at
where part.ladder = 'hour'
  and part.grain = 0
  and not failed
  and not warm_up
  and latency_ms is not null
union all
select
  part.window                                                                                     as window,
  part.from_day                                                                                   as from_day,
  part.to_day                                                                                     as to_day,
  2                                                                                               as kind,
  (
    select ms from latency_buckets where from_ms <= ttft_ms order by from_ms desc limit 1
  ) as ms,
  part.sign                                                                                       as requests
from span_parts as part
cross join usage_events
  on usage_events.occurred_at >= part.from_at
  and usage_events.occurred_at < part.until_at
where part.ladder = 'hour'
  and part.grain = 0
  and not failed
  and not warm_up
  and ttft_ms is not null;

-- The same by model.
create view model_latency_pieces as
select
  part.window   as window,
  part.from_day as from_day,
  part.to_day   as to_day,
  sums.model_id as model_id,
  sums.kind     as kind,
  sums.ms       as ms,
  sums.requests as requests
from span_parts as part
cross join model_latency_rollup as sums
  on sums.grain = part.grain
  and sums.bucket_at >= part.from_at
  and sums.bucket_at < part.until_at
where part.ladder = 'latency pair'
union all
select
  part.window                                                                                        as window,
  part.from_day                                                                                      as from_day,
  part.to_day                                                                                        as to_day,
  model_id                                                                                           as model_id,
  1                                                                                                  as kind,
  (
    select ms from latency_buckets where from_ms <= latency_ms order by from_ms desc limit 1
  ) as ms,
  part.sign                                                                                          as requests
from span_parts as part
cross join usage_events
  on usage_events.occurred_at >= part.from_at
  and usage_events.occurred_at < part.until_at
where part.ladder = 'latency pair'
  and part.grain = 0
  and not failed
  and not warm_up
  and latency_ms is not null
union all
select
  part.window                                                                                     as window,
  part.from_day                                                                                   as from_day,
  part.to_day                                                                                     as to_day,
  model_id                                                                                        as model_id,
  2                                                                                               as kind,
  (
    select ms from latency_buckets where from_ms <= ttft_ms order by from_ms desc limit 1
  ) as ms,
  part.sign                                                                                       as requests
from span_parts as part
cross join usage_events
  on usage_events.occurred_at >= part.from_at
  and usage_events.occurred_at < part.until_at
where part.ladder = 'latency pair'
  and part.grain = 0
  and not failed
  and not warm_up
  and ttft_ms is not null;

-- The successful attempts of one account, which must be named, one by one.
create view account_event_pieces as
select
  spans.window   as window,
  spans.from_day as from_day,
  spans.to_day   as to_day,
  named.account  as account,
  latency_ms     as latency_ms,
  ttft_ms        as ttft_ms,
  output_tokens  as output_tokens
from named_credentials as named
cross join spans
cross join usage_events
  on usage_events.credential_id = named.credential_id
  and usage_events.occurred_at >= spans.starts_at
  and usage_events.occurred_at < spans.ends_at
where not failed and not warm_up;

-- The failed attempts of a span, one by one.
create view failed_event_pieces as
select
  spans.window           as window,
  spans.from_day         as from_day,
  spans.to_day           as to_day,
  usage_events.id        as event_id,
  occurred_at            as occurred_at,
  credential_id          as credential_id,
  model_id               as model_id,
  coalesce(client_id, 0) as client_id,
  status_code            as status_code
from spans
cross join usage_events indexed by failed_events_by_time
  on usage_events.occurred_at >= spans.starts_at
  and usage_events.occurred_at < spans.ends_at
where failed = 1;

-- The events of a span themselves: for what no rollup answers, at a cost that grows with them.
create view event_pieces as
select
  spans.window                   as window,
  spans.from_day                 as from_day,
  spans.to_day                   as to_day,
  1                              as is_series,
  occurred_at                    as bucket_at,
  id                             as event_id,
  credential_id                  as credential_id,
  model_id                       as model_id,
  coalesce(client_id, 0)         as client_id,
  status_code                    as status_code,
  warm_up                        as warm_up,
  latency_ms                     as latency_ms,
  ttft_ms                        as ttft_ms,
  1                              as requests,
  failed                         as failed,
  input_tokens                   as input_tokens,
  cached_tokens                  as cached_tokens,
  cache_write_tokens             as cache_write_tokens,
  output_tokens                  as output_tokens,
  reasoning_tokens               as reasoning_tokens,
  unclassified_tokens            as unclassified_tokens,
  coalesce(cost_microdollars, 0) as cost_microdollars,
  (cost_microdollars is null)    as unpriced
from spans
cross join usage_events
  on usage_events.occurred_at >= spans.starts_at
  and usage_events.occurred_at < spans.ends_at;

-- Requests, failures, tokens and cost at list price of each window.
create view totals_by_window as
select
  windows.window                                                       as window,
  coalesce(sum(requests), 0)                                           as requests,
  coalesce(sum(failed), 0)                                             as failed,
  coalesce(sum(input_tokens), 0)                                       as input_tokens,
  coalesce(sum(cached_tokens), 0)                                      as cached_tokens,
  coalesce(sum(cache_write_tokens), 0)                                 as cache_write_tokens,
  coalesce(sum(output_tokens), 0)                                      as output_tokens,
  coalesce(sum(reasoning_tokens), 0)                                   as reasoning_tokens,
  coalesce(sum(unclassified_tokens), 0)                                as unclassified_tokens,
  coalesce(sum(input_tokens + output_tokens + unclassified_tokens), 0) as total_tokens,
  coalesce(sum(cost_microdollars) / 1e6, 0)                            as cost_dollars,
  coalesce(sum(unpriced), 0)                                           as unpriced
from windows
left join total_pieces
  on total_pieces.window = windows.window
  and from_day = ''
  and is_series = 0
group by windows.window;

-- The same by account.
create view accounts_by_window as
select
  window                                                  as window,
  account                                                 as account,
  provider                                                as provider,
  account_id                                              as account_id,
  sum(requests)                                           as requests,
  sum(failed)                                             as failed,
  sum(input_tokens)                                       as input_tokens,
  sum(cached_tokens)                                      as cached_tokens,
  sum(cache_write_tokens)                                 as cache_write_tokens,
  sum(output_tokens)                                      as output_tokens,
  sum(reasoning_tokens)                                   as reasoning_tokens,
  sum(unclassified_tokens)                                as unclassified_tokens,
  sum(input_tokens + output_tokens + unclassified_tokens) as total_tokens,
  sum(cost_microdollars) / 1e6                            as cost_dollars,
  sum(unpriced)                                           as unpriced
from credential_pieces
join named_credentials using (credential_id)
where from_day = '' and is_series = 0
group by window, account_id
having sum(requests) > 0;

-- The same by model, as the upstream ran it.
create view models_by_window as
select
  window                                                  as window,
  known_models.name                                       as model,
  sum(requests)                                           as requests,
  sum(failed)                                             as failed,
  sum(input_tokens)                                       as input_tokens,
  sum(cached_tokens)                                      as cached_tokens,
  sum(cache_write_tokens)                                 as cache_write_tokens,
  sum(output_tokens)                                      as output_tokens,
  sum(reasoning_tokens)                                   as reasoning_tokens,
  sum(unclassified_tokens)                                as unclassified_tokens,
  sum(input_tokens + output_tokens + unclassified_tokens) as total_tokens,
  sum(cost_microdollars) / 1e6                            as cost_dollars,
  sum(unpriced)                                           as unpriced
from model_pieces
join known_models on known_models.id = model_pieces.model_id
where from_day = '' and is_series = 0
group by window, model_id
having sum(requests) > 0;

-- The same by client key.
create view clients_by_window as
select
  window                                                  as window,
  client                                                  as client,
  sum(requests)                                           as requests,
  sum(failed)                                             as failed,
  sum(input_tokens)                                       as input_tokens,
  sum(cached_tokens)                                      as cached_tokens,
  sum(cache_write_tokens)                                 as cache_write_tokens,
  sum(output_tokens)                                      as output_tokens,
  sum(reasoning_tokens)                                   as reasoning_tokens,
  sum(unclassified_tokens)                                as unclassified_tokens,
  sum(input_tokens + output_tokens + unclassified_tokens) as total_tokens,
  sum(cost_microdollars) / 1e6                            as cost_dollars,
  sum(unpriced)                                           as unpriced
from client_pieces
join named_clients using (client_id)
where from_day = '' and is_series = 0
group by window, client_id
having sum(requests) > 0;

-- The same by local hour; an hour that a clock change repeats stands there twice.
create view hours_by_window as
select
  window                                                                  as window,
  strftime('%Y-%m-%d %H:00', (bucket_at + offset_ms) / 1000, 'unixepoch') as hour,
  offset_ms / 60000                                                       as utc_offset_minutes,
  sum(requests)                                                           as requests,
  sum(failed)                                                             as failed,
  sum(input_tokens)                                                       as input_tokens,
  sum(cached_tokens)                                                      as cached_tokens,
  sum(cache_write_tokens)                                                 as cache_write_tokens,
  sum(output_tokens)                                                      as output_tokens,
  sum(reasoning_tokens)                                                   as reasoning_tokens,
  sum(unclassified_tokens)                                                as unclassified_tokens,
  sum(input_tokens + output_tokens + unclassified_tokens)                 as total_tokens,
  sum(cost_microdollars) / 1e6                                            as cost_dollars,
  sum(unpriced)                                                           as unpriced
from total_pieces
join zone_offsets
  on zone_offsets.starts_at <= bucket_at and bucket_at < zone_offsets.ends_at
where from_day = '' and is_series = 1
group by window, hour, offset_ms
having sum(requests) > 0;

-- The same by local day.
create view days_by_window as
select
  window                                                  as window,
  day                                                     as day,
  sum(requests)                                           as requests,
  sum(failed)                                             as failed,
  sum(input_tokens)                                       as input_tokens,
  sum(cached_tokens)                                      as cached_tokens,
  sum(cache_write_tokens)                                 as cache_write_tokens,
  sum(output_tokens)                                      as output_tokens,
  sum(reasoning_tokens)                                   as reasoning_tokens,
  sum(unclassified_tokens)                                as unclassified_tokens,
  sum(input_tokens + output_tokens + unclassified_tokens) as total_tokens,
  sum(cost_microdollars) / 1e6                            as cost_dollars,
  sum(unpriced)                                           as unpriced
from total_pieces
join local_days
  on local_days.starts_at = (select max(starts_at) from local_days where starts_at <= bucket_at)
where from_day = '' and is_series = 1
group by window, day
having sum(requests) > 0;

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
  cost_microdollars / 1e6                                             as cost_dollars,
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

-- Models that were used and have no price, so that their cost is missing everywhere.
create view unpriced_models as
select
  known_models.name                              as model,
  sum(unpriced)                                  as requests,
  datetime(max(bucket_at) / 1000, 'unixepoch')   as last_day_utc
from model_rollup
join known_models on known_models.id = model_rollup.model_id
where grain = 4 and unpriced > 0
group by model_id;

-- Failed attempts of each window by status and code.
create view failures_by_window as
select
  window                              as window,
  status_code                         as status_code,
  coalesce(failure_details.code, '')  as code,
  count(*)                            as requests,
  count(distinct credential_id)       as credentials,
  max(failure_details.message)        as message
from windows
cross join usage_events indexed by failed_events_by_time
  on usage_events.occurred_at >= windows.starts_at
  and usage_events.occurred_at < windows.ends_at
left join failure_details on failure_details.event_id = usage_events.id
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
