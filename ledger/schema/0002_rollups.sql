-- What an estimate of cost went by: the package or settings, and the model it knows.
create table known_prices (
  id      integer primary key,
  source  text not null,
  version text not null,
  model   text not null,
  unique (source, version, model)
) strict;

-- At list price as of the event's time; null when no price is known.
alter table usage_events add column cost_microdollars integer check (cost_microdollars >= 0);
alter table usage_events add column price_id integer references known_prices (id);

-- Sums at fixed grains, kept in the transaction that stores the events: see rollup.sql.
create table rollup_state (
  id            integer primary key check (id = 1),
  last_event_id integer not null,
  -- The finest grains are complete from here on, and are not kept before.
  recent_from   integer not null
) strict;

insert into rollup_state (id, last_event_id, recent_from)
select
  1,
  0,
  cast((julianday('now') - 2440587.5) * 24 - 48 as integer) * 3600000;

create table grains (
  grain     integer primary key,
  name      text not null unique,
  length_ms integer not null
) strict;

insert into grains (grain, name, length_ms)
values
  (1, 'minute', 60000),
  (2, 'quarter hour', 900000),
  (3, 'hour', 3600000),
  (4, 'day', 86400000),
  (5, 'week', 604800000);

-- Which grains answer a span, from its start on: fine buckets, which are kept only for recent
-- times, up to the first middle one, middle ones up to the first coarse one, coarse ones.
-- Days are UTC days; a week begins on a Thursday, as 1970 did.
create table ladders (
  ladder text primary key,
  fine   integer not null references grains (grain),
  middle integer not null references grains (grain),
  coarse integer references grains (grain)
) strict, without rowid;

insert into ladders (ladder, fine, middle, coarse)
values
  ('quarter', 1, 2, 4),
  ('hour', 1, 3, 4),
  ('pair', 3, 4, null),
  ('latency pair', 3, 4, 5),
  ('quarter series', 1, 2, null),
  ('hour series', 1, 3, null);

create table total_rollup (
  grain     integer not null,
  bucket_at integer not null,
  proxy_id integer not null,
  requests integer not null,
  failed integer not null,
  input_tokens integer not null,
  cached_tokens integer not null,
  cache_write_tokens integer not null,
  output_tokens integer not null,
  reasoning_tokens integer not null,
  unclassified_tokens integer not null,
  cost_microdollars integer not null,
  unpriced integer not null,
  primary key (grain, bucket_at, proxy_id)
) strict, without rowid;

create table model_rollup (
  grain     integer not null,
  bucket_at integer not null,
  proxy_id integer not null,
  model_id integer not null,
  requests integer not null,
  failed integer not null,
  input_tokens integer not null,
  cached_tokens integer not null,
  cache_write_tokens integer not null,
  output_tokens integer not null,
  reasoning_tokens integer not null,
  unclassified_tokens integer not null,
  cost_microdollars integer not null,
  unpriced integer not null,
  timed_ms integer not null,
  timed_tokens integer not null,
  streamed_ms integer not null,
  streamed_tokens integer not null,
  primary key (grain, bucket_at, proxy_id, model_id)
) strict, without rowid;

create table client_rollup (
  grain     integer not null,
  bucket_at integer not null,
  proxy_id integer not null,
  client_id integer not null,
  requests integer not null,
  failed integer not null,
  input_tokens integer not null,
  cached_tokens integer not null,
  cache_write_tokens integer not null,
  output_tokens integer not null,
  reasoning_tokens integer not null,
  unclassified_tokens integer not null,
  cost_microdollars integer not null,
  unpriced integer not null,
  primary key (grain, bucket_at, proxy_id, client_id)
) strict, without rowid;

create table credential_rollup (
  grain     integer not null,
  bucket_at integer not null,
  credential_id integer not null,
  requests integer not null,
  failed integer not null,
  input_tokens integer not null,
  cached_tokens integer not null,
  cache_write_tokens integer not null,
  output_tokens integer not null,
  reasoning_tokens integer not null,
  unclassified_tokens integer not null,
  cost_microdollars integer not null,
  unpriced integer not null,
  primary key (grain, bucket_at, credential_id)
) strict, without rowid;

create table credential_model_rollup (
  grain     integer not null,
  bucket_at integer not null,
  model_id integer not null,
  credential_id integer not null,
  requests integer not null,
  failed integer not null,
  input_tokens integer not null,
  cached_tokens integer not null,
  cache_write_tokens integer not null,
  output_tokens integer not null,
  reasoning_tokens integer not null,
  unclassified_tokens integer not null,
  cost_microdollars integer not null,
  unpriced integer not null,
  primary key (grain, model_id, bucket_at, credential_id)
) strict, without rowid;

create table client_model_rollup (
  grain     integer not null,
  bucket_at integer not null,
  client_id integer not null,
  model_id integer not null,
  proxy_id integer not null,
  requests integer not null,
  failed integer not null,
  input_tokens integer not null,
  cached_tokens integer not null,
  cache_write_tokens integer not null,
  output_tokens integer not null,
  reasoning_tokens integer not null,
  unclassified_tokens integer not null,
  cost_microdollars integer not null,
  unpriced integer not null,
  primary key (grain, client_id, bucket_at, model_id, proxy_id)
) strict, without rowid;

-- Log buckets: each is 4 % wide, so that its middle is at most 2 % off; exact below 25 ms.
create table latency_buckets (
  from_ms integer primary key,
  ms      integer not null
) strict;

insert into latency_buckets (from_ms, ms)
with recursive buckets (from_ms, next_ms) as (
  select 0, 1
  union all
  select next_ms, max(next_ms + 1, next_ms * 104 / 100)
  from buckets
  where next_ms < 10000000000
)
select from_ms, (from_ms + next_ms - 1) / 2 from buckets;

-- How many successful attempts took about so long; kind 1 is latency, 2 time to first token.
create table latency_rollup (
  grain     integer not null,
  bucket_at integer not null,
  kind      integer not null check (kind in (1, 2)),
  ms        integer not null,
  requests  integer not null,
  primary key (grain, bucket_at, kind, ms)
) strict, without rowid;

create table model_latency_rollup (
  grain     integer not null,
  bucket_at integer not null,
  model_id  integer not null,
  kind      integer not null check (kind in (1, 2)),
  ms        integer not null,
  requests  integer not null,
  primary key (grain, bucket_at, model_id, kind, ms)
) strict, without rowid;
