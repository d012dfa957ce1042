-- Instants are integer milliseconds, UTC. Small integers stand for repeated text.

create table settings (
  name  text primary key,
  value text not null
) strict, without rowid;

-- One CLIProxyAPI instance.
create table proxies (
  id                 integer primary key,
  name               text not null unique,
  version            text,
  statistics_enabled integer check (statistics_enabled in (0, 1)),
  retention_seconds  integer check (retention_seconds > 0),
  source             text check (source in ('resp', 'http')),
  asked_at           integer,
  first_pop_at       integer,
  last_pop_at        integer,
  last_batch         integer not null default 0
) strict;

-- A management key that the proxy refused, as a salted hash; nobody tries it before retry_at.
create table refused_keys (
  proxy_id   integer not null references proxies (id),
  key_hash   blob not null,
  refused_at integer not null,
  retry_at   integer not null,
  refusals   integer not null,
  told       text not null,
  message    text not null,
  primary key (proxy_id, key_hash)
) strict, without rowid;

-- An account as a person knows it.
create table known_accounts (
  id       integer primary key,
  provider text not null,
  label    text not null
) strict;

-- One auth_index of an account. Events point here, so merging accounts rewrites no history.
create table credentials (
  id         integer primary key,
  proxy_id   integer not null references proxies (id),
  auth_index text not null,
  provider   text not null,
  auth_type  text not null,
  account_id integer not null references known_accounts (id),
  unique (proxy_id, auth_index, provider)
) strict;

create index credentials_by_account on credentials (account_id);

create table known_models (
  id   integer primary key,
  name text not null unique
) strict;

-- A client's API key: salted hash and label.
create table known_clients (
  id       integer primary key,
  key_hash blob not null unique,
  label    text not null unique
) strict;

create table known_endpoints (
  id   integer primary key,
  name text not null unique
) strict;

create table known_executors (
  id   integer primary key,
  name text not null unique
) strict;

create table known_efforts (
  id   integer primary key,
  name text not null unique
) strict;

create table known_tiers (
  id   integer primary key,
  name text not null unique
) strict;

-- One upstream attempt. input = uncached + cached + cache write; output = visible + reasoning;
-- total = input + output + unclassified.
create table usage_events (
  id                  integer primary key,
  occurred_at         integer not null,
  event_hash          blob not null check (length(event_hash) = 16),
  credential_id       integer not null references credentials (id),
  model_id            integer not null references known_models (id),
  alias_id            integer references known_models (id),
  client_id           integer references known_clients (id),
  endpoint_id         integer references known_endpoints (id),
  executor_id         integer references known_executors (id),
  effort_id           integer references known_efforts (id),
  tier_id             integer references known_tiers (id),
  failed              integer not null check (failed in (0, 1)),
  warm_up             integer not null check (warm_up in (0, 1)),
  status_code         integer,
  latency_ms          integer check (latency_ms >= 0),
  ttft_ms             integer check (ttft_ms > 0),
  input_tokens        integer not null check (input_tokens >= cached_tokens + cache_write_tokens),
  cached_tokens       integer not null check (cached_tokens >= 0),
  cache_write_tokens  integer not null check (cache_write_tokens >= 0),
  output_tokens       integer not null check (output_tokens >= reasoning_tokens),
  reasoning_tokens    integer not null check (reasoning_tokens >= 0),
  unclassified_tokens integer not null check (unclassified_tokens >= 0),
  total_tokens        integer not null
                      check (total_tokens = input_tokens + output_tokens + unclassified_tokens),
  request_id          text
) strict;

-- The same bytes again are the same event; the time first keeps inserts local and serves ranges.
create unique index events_by_time on usage_events (occurred_at, event_hash);
create index events_by_credential on usage_events (credential_id, occurred_at);
create index failed_events_by_time on usage_events (occurred_at) where failed = 1;

-- What a failed attempt said: its code and one scrubbed line.
create table failure_details (
  event_id integer primary key references usage_events (id) on delete cascade,
  code     text,
  message  text
) strict;

-- received = stored + duplicate + rejected, by hour of reception and way in.
create table ingest_ledger (
  hour_at   integer not null,
  proxy_id  integer not null references proxies (id),
  source    text not null,
  batches   integer not null default 0,
  received  integer not null default 0,
  stored    integer not null default 0,
  duplicate integer not null default 0,
  rejected  integer not null default 0,
  primary key (hour_at, proxy_id, source),
  check (received = stored + duplicate + rejected)
) strict, without rowid;

-- A stretch in which nobody collected: from the last good pop to the first good one after it.
create table gaps (
  id         integer primary key,
  proxy_id   integer not null references proxies (id),
  started_at integer not null,
  ended_at   integer check (ended_at >= started_at),
  cause      text not null,
  detail     text,
  -- Longer than the queue keeps its items, so that something may have been dropped.
  retention_exceeded integer not null default 0 check (retention_exceeded in (0, 1)),
  -- Batches popped but never safe on disk: a killed or cut-off collector.
  batches_at_risk    integer not null default 0
) strict;

create index gaps_by_proxy on gaps (proxy_id, started_at);

-- A record that could not be understood. JSON is kept whole with its strings hashed, to be
-- replayed after an upgrade; of anything else a scrubbed excerpt remains.
create table rejected_events (
  id          integer primary key,
  proxy_id    integer not null references proxies (id),
  received_at integer not null,
  reason      text not null,
  form        text not null check (form in ('json', 'excerpt')),
  record      text not null,
  replayed_at integer
) strict;

create table heartbeats (
  worker     text primary key,
  pid        integer not null,
  started_at integer not null,
  beat_at    integer not null,
  state      text not null check (state in ('working', 'waiting', 'refused', 'stopped')),
  detail     text
) strict, without rowid;

-- Local days of the configured time zone, written from zoneinfo.
create table local_days (
  day       text primary key,
  starts_at integer not null,
  ends_at   integer not null check (ends_at > starts_at)
) strict, without rowid;

create index local_days_by_start on local_days (starts_at, ends_at);

-- Stretches with one offset from UTC, of the configured time zone.
create table zone_offsets (
  starts_at integer primary key,
  ends_at   integer not null check (ends_at > starts_at),
  offset_ms integer not null
) strict;
