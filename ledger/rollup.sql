-- Add what temp.fresh holds to every rollup.

insert into total_rollup (
  grain, bucket_at, proxy_id,
  requests, failed, input_tokens, cached_tokens, cache_write_tokens,
  output_tokens, reasoning_tokens, unclassified_tokens, cost_microdollars, unpriced
)
select
  grains.grain,
  occurred_at - occurred_at % length_ms,
  proxy_id,
  sum(requests),
  sum(failed),
  sum(input_tokens),
  sum(cached_tokens),
  sum(cache_write_tokens),
  sum(output_tokens),
  sum(reasoning_tokens),
  sum(unclassified_tokens),
  sum(cost_microdollars),
  sum(unpriced)
from temp.fresh
join grains on grains.grain in (2, 4) or grains.grain = 1 and fresh.is_recent
group by 1, 2, 3
on conflict do update set
  requests = requests + excluded.requests,
  failed = failed + excluded.failed,
  input_tokens = input_tokens + excluded.input_tokens,
  cached_tokens = cached_tokens + excluded.cached_tokens,
  cache_write_tokens = cache_write_tokens + excluded.cache_write_tokens,
  output_tokens = output_tokens + excluded.output_tokens,
  reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
  unclassified_tokens = unclassified_tokens + excluded.unclassified_tokens,
  cost_microdollars = cost_microdollars + excluded.cost_microdollars,
  unpriced = unpriced + excluded.unpriced;

insert into model_rollup (
  grain, bucket_at, proxy_id, model_id,
  requests, failed, input_tokens, cached_tokens, cache_write_tokens,
  output_tokens, reasoning_tokens, unclassified_tokens, cost_microdollars, unpriced,
  timed_ms, timed_tokens, streamed_ms, streamed_tokens
)
select
  grains.grain,
  occurred_at - occurred_at % length_ms,
  proxy_id,
  model_id,
  sum(requests),
  sum(failed),
  sum(input_tokens),
  sum(cached_tokens),
  sum(cache_write_tokens),
  sum(output_tokens),
  sum(reasoning_tokens),
  sum(unclassified_tokens),
  sum(cost_microdollars),
  sum(unpriced),
  sum(timed_ms),
  sum(timed_tokens),
  sum(streamed_ms),
  sum(streamed_tokens)
from temp.fresh
join grains on grains.grain in (2, 4) or grains.grain = 1 and fresh.is_recent
group by 1, 2, 3, 4
on conflict do update set
  requests = requests + excluded.requests,
  failed = failed + excluded.failed,
  input_tokens = input_tokens + excluded.input_tokens,
  cached_tokens = cached_tokens + excluded.cached_tokens,
  cache_write_tokens = cache_write_tokens + excluded.cache_write_tokens,
  output_tokens = output_tokens + excluded.output_tokens,
  reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
  unclassified_tokens = unclassified_tokens + excluded.unclassified_tokens,
  cost_microdollars = cost_microdollars + excluded.cost_microdollars,
  unpriced = unpriced + excluded.unpriced,
  timed_ms = timed_ms + excluded.timed_ms,
  timed_tokens = timed_tokens + excluded.timed_tokens,
  streamed_ms = streamed_ms + excluded.streamed_ms,
  streamed_tokens = streamed_tokens + excluded.streamed_tokens;

insert into client_rollup (
  grain, bucket_at, proxy_id, client_id,
  requests, failed, input_tokens, cached_tokens, cache_write_tokens,
  output_tokens, reasoning_tokens, unclassified_tokens, cost_microdollars, unpriced
)
select
  grains.grain,
  occurred_at - occurred_at % length_ms,
  proxy_id,
  client_id,
  sum(requests),
  sum(failed),
  sum(input_tokens),
  sum(cached_tokens),
  sum(cache_write_tokens),
  sum(output_tokens),
  sum(reasoning_tokens),
  sum(unclassified_tokens),
  sum(cost_microdollars),
  sum(unpriced)
from temp.fresh
join grains on grains.grain in (2, 4) or grains.grain = 1 and fresh.is_recent
group by 1, 2, 3, 4
on conflict do update set
  requests = requests + excluded.requests,
  failed = failed + excluded.failed,
  input_tokens = input_tokens + excluded.input_tokens,
  cached_tokens = cached_tokens + excluded.cached_tokens,
  cache_write_tokens = cache_write_tokens + excluded.cache_write_tokens,
  output_tokens = output_tokens + excluded.output_tokens,
  reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
  unclassified_tokens = unclassified_tokens + excluded.unclassified_tokens,
  cost_microdollars = cost_microdollars + excluded.cost_microdollars,
  unpriced = unpriced + excluded.unpriced;

insert into credential_rollup (
  grain, bucket_at, credential_id,
  requests, failed, input_tokens, cached_tokens, cache_write_tokens,
  output_tokens, reasoning_tokens, unclassified_tokens, cost_microdollars, unpriced
)
select
  grains.grain,
  occurred_at - occurred_at % length_ms,
  credential_id,
  sum(requests),
  sum(failed),
  sum(input_tokens),
  sum(cached_tokens),
  sum(cache_write_tokens),
  sum(output_tokens),
  sum(reasoning_tokens),
  sum(unclassified_tokens),
  sum(cost_microdollars),
  sum(unpriced)
from temp.fresh
join grains on grains.grain in (3, 4) or grains.grain = 1 and fresh.is_recent
group by 1, 2, 3
on conflict do update set
  requests = requests + excluded.requests,
  failed = failed + excluded.failed,
  input_tokens = input_tokens + excluded.input_tokens,
  cached_tokens = cached_tokens + excluded.cached_tokens,
  cache_write_tokens = cache_write_tokens + excluded.cache_write_tokens,
  output_tokens = output_tokens + excluded.output_tokens,
  reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
  unclassified_tokens = unclassified_tokens + excluded.unclassified_tokens,
  cost_microdollars = cost_microdollars + excluded.cost_microdollars,
  unpriced = unpriced + excluded.unpriced;

insert into credential_model_rollup (
  grain, bucket_at, model_id, credential_id,
  requests, failed, input_tokens, cached_tokens, cache_write_tokens,
  output_tokens, reasoning_tokens, unclassified_tokens, cost_microdollars, unpriced
)
select
  grains.grain,
  occurred_at - occurred_at % length_ms,
  model_id,
  credential_id,
  sum(requests),
  sum(failed),
  sum(input_tokens),
  sum(cached_tokens),
  sum(cache_write_tokens),
  sum(output_tokens),
  sum(reasoning_tokens),
  sum(unclassified_tokens),
  sum(cost_microdollars),
  sum(unpriced)
from temp.fresh
join grains on grains.grain = 4 or grains.grain = 3 and fresh.is_recent
group by 1, 2, 3, 4
on conflict do update set
  requests = requests + excluded.requests,
  failed = failed + excluded.failed,
  input_tokens = input_tokens + excluded.input_tokens,
  cached_tokens = cached_tokens + excluded.cached_tokens,
  cache_write_tokens = cache_write_tokens + excluded.cache_write_tokens,
  output_tokens = output_tokens + excluded.output_tokens,
  reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
  unclassified_tokens = unclassified_tokens + excluded.unclassified_tokens,
  cost_microdollars = cost_microdollars + excluded.cost_microdollars,
  unpriced = unpriced + excluded.unpriced;

insert into client_model_rollup (
  grain, bucket_at, model_id, client_id, proxy_id,
  requests, failed, input_tokens, cached_tokens, cache_write_tokens,
  output_tokens, reasoning_tokens, unclassified_tokens, cost_microdollars, unpriced
)
select
  grains.grain,
  occurred_at - occurred_at % length_ms,
  model_id,
  client_id,
  proxy_id,
  sum(requests),
  sum(failed),
  sum(input_tokens),
  sum(cached_tokens),
  sum(cache_write_tokens),
  sum(output_tokens),
  sum(reasoning_tokens),
  sum(unclassified_tokens),
  sum(cost_microdollars),
  sum(unpriced)
from temp.fresh
join grains on grains.grain = 4 or grains.grain = 3 and fresh.is_recent
group by 1, 2, 3, 4, 5
on conflict do update set
  requests = requests + excluded.requests,
  failed = failed + excluded.failed,
  input_tokens = input_tokens + excluded.input_tokens,
  cached_tokens = cached_tokens + excluded.cached_tokens,
  cache_write_tokens = cache_write_tokens + excluded.cache_write_tokens,
  output_tokens = output_tokens + excluded.output_tokens,
  reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
  unclassified_tokens = unclassified_tokens + excluded.unclassified_tokens,
  cost_microdollars = cost_microdollars + excluded.cost_microdollars,
  unpriced = unpriced + excluded.unpriced;

insert into latency_rollup (grain, bucket_at, proxy_id, kind, ms, requests)
select
  grains.grain,
  occurred_at - occurred_at % length_ms,
  proxy_id,
  1,
  latency_buckets.ms,
  sum(fresh.requests)
from temp.fresh
join latency_buckets on latency_buckets.from_ms = fresh.latency_from
join grains on grains.grain in (3, 4) or grains.grain = 1 and fresh.is_recent
group by 1, 2, 3, 4, 5
on conflict do update set requests = requests + excluded.requests;

insert into latency_rollup (grain, bucket_at, proxy_id, kind, ms, requests)
select
  grains.grain,
  occurred_at - occurred_at % length_ms,
  proxy_id,
  2,
  latency_buckets.ms,
  sum(fresh.requests)
from temp.fresh
join latency_buckets on latency_buckets.from_ms = fresh.ttft_from
join grains on grains.grain in (3, 4) or grains.grain = 1 and fresh.is_recent
group by 1, 2, 3, 4, 5
on conflict do update set requests = requests + excluded.requests;

insert into model_latency_rollup (grain, bucket_at, proxy_id, model_id, kind, ms, requests)
select
  grains.grain,
  occurred_at - occurred_at % length_ms,
  proxy_id,
  model_id,
  1,
  latency_buckets.ms,
  sum(fresh.requests)
from temp.fresh
join latency_buckets on latency_buckets.from_ms = fresh.latency_from
join grains on grains.grain in (4, 5) or grains.grain = 3 and fresh.is_recent
group by 1, 2, 3, 4, 5, 6
on conflict do update set requests = requests + excluded.requests;

insert into model_latency_rollup (grain, bucket_at, proxy_id, model_id, kind, ms, requests)
select
  grains.grain,
  occurred_at - occurred_at % length_ms,
  proxy_id,
  model_id,
  2,
  latency_buckets.ms,
  sum(fresh.requests)
from temp.fresh
join latency_buckets on latency_buckets.from_ms = fresh.ttft_from
join grains on grains.grain in (4, 5) or grains.grain = 3 and fresh.is_recent
group by 1, 2, 3, 4, 5, 6
on conflict do update set requests = requests + excluded.requests;
