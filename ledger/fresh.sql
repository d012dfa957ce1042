-- What the events after :after, up to :until, add to the rollups.

delete from temp.fresh;

insert into temp.fresh
select
  usage_events.occurred_at                                    as occurred_at,
  usage_events.occurred_at >= rollup_state.recent_from        as is_recent,
  credentials.proxy_id                                        as proxy_id,
  usage_events.credential_id                                  as credential_id,
  usage_events.model_id                                       as model_id,
  coalesce(usage_events.client_id, 0)                         as client_id,
  1                                                           as requests,
  failed                                                      as failed,
  input_tokens                                                as input_tokens,
  cached_tokens                                               as cached_tokens,
  cache_write_tokens                                          as cache_write_tokens,
  output_tokens                                               as output_tokens,
  reasoning_tokens                                            as reasoning_tokens,
  unclassified_tokens                                         as unclassified_tokens,
  coalesce(cost_microdollars, 0)                              as cost_microdollars,
  cost_microdollars is null                                   as unpriced,
  iif(is_timed, latency_ms, 0)                                as timed_ms,
  iif(is_timed, output_tokens, 0)                             as timed_tokens,
  iif(is_timed and ttft_ms < latency_ms, latency_ms - ttft_ms, 0) as streamed_ms,
  iif(is_timed and ttft_ms < latency_ms, output_tokens, 0)    as streamed_tokens,
  iif(is_success, (
    select max(from_ms) from latency_buckets where from_ms <= latency_ms
  ), null)                                                    as latency_from,
  iif(is_success, (
    select max(from_ms) from latency_buckets where from_ms <= ttft_ms
  ), null)                                                    as ttft_from
from (
  select
    *,
    not failed and not warm_up                                     as is_success,
    not failed and not warm_up and latency_ms > 0 and output_tokens > 0 as is_timed
  from usage_events
  where id > :after
    and id <= :until
    -- Older ones are in their rollups already, and about to be deleted.
    and occurred_at >= (select raw_complete_from from rollup_state)
) as usage_events
join credentials on credentials.id = usage_events.credential_id
cross join rollup_state;
