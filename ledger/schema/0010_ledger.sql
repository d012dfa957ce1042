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
  last_batch         integer not null default 0,
  -- Its address, and whether the settings still list it.
  address            text,
  configured         integer not null default 1 check (configured in (0, 1))
) strict;

-- A management key that the proxy refused, as a salted hash; no worker tries it before retry_at.
create table refused_keys (
  proxy_id   integer not null references proxies (id),
  key_hash   blob not null,
  refused_at integer not null,
  retry_at   integer not null,
  refusals   integer not null,
  worker     text not null,
  message    text not null,
  primary key (proxy_id, key_hash)
) strict, without rowid;

-- An account at a provider, as its owner knows it: one or more credentials.
create table known_accounts (
  id       integer primary key,
  provider text not null,
  label    text not null,
  -- The account at its provider: a hash of workspace and person, null until it is known.
  account_key text,
  -- The name that is shown where label and alias alone do not tell it apart; see accounts.py.
  name         text,
  -- The name that its user gave it, which comes before every other.
  given_name   text,
  merged_into  integer references known_accounts (id),
  forgotten_at integer
) strict;

create unique index known_accounts_by_key on known_accounts (account_key)
where account_key is not null;

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
  -- The service tier that the request asked for.
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
  request_id          text,
  -- At list price as of the event's time; null when no price is known.
  cost_microdollars   integer check (cost_microdollars >= 0),
  price_id            integer references known_prices (id),
  -- The import that an event came with; null for one that was collected from the proxy.
  import_id           integer references imports (id),
  -- The service tier that the answer named.
  answered_tier_id    integer references known_tiers (id),
  -- What the cache saved against the full price of input, less what its writes cost beyond it.
  saved_microdollars  integer not null default 0,
  -- Why the cost is missing or incomplete: 1 no price, 2 no usage reported, 3 tokens unclassified,
  -- 4 tokens partly unclassified, 5 billed by a unit that events do not count.
  cost_reason         integer check (cost_reason between 1 and 5),
  price_rule_id       integer references price_rules (id),
  -- A failed attempt that the client has cancelled.
  cancelled           integer not null default 0 check (cancelled in (0, 1) and cancelled <= failed)
) strict;

-- Equal bytes are the same event. The time is the first column, so that new rows are stored next to
-- each other, and queries of a range read only that range.
create unique index events_by_time on usage_events (occurred_at, event_hash);
create index events_by_credential on usage_events (credential_id, occurred_at);
create index failed_events_by_time on usage_events (occurred_at) where failed = 1;
create index events_without_cost on usage_events (cost_reason, model_id)
  where cost_reason is not null;

-- The error of a failed attempt: its code and one redacted line.
create table failure_details (
  event_id integer primary key references usage_events (id) on delete cascade,
  code     text,
  message  text
) strict;

-- received = stored + duplicate + rejected, by hour of reception and source.
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

-- A time without collection: from the last successful pop to the next successful one.
create table gaps (
  id         integer primary key,
  proxy_id   integer not null references proxies (id),
  started_at integer not null,
  ended_at   integer check (ended_at >= started_at),
  cause      text not null,
  detail     text,
  -- Whether it was longer than the proxy keeps events, so that the proxy may have dropped some.
  retention_exceeded integer not null default 0 check (retention_exceeded in (0, 1)),
  -- Batches that were popped but perhaps never written to the disk.
  batches_at_risk    integer not null default 0
) strict;

create index gaps_by_proxy on gaps (proxy_id, started_at);

-- A record that is not a valid event. JSON is stored with its strings hashed, and can be replayed
-- after an upgrade; of any other record, a redacted excerpt is stored.
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
  detail     text,
  -- What the worker does, and for which proxy: each proxy has a collector of its own.
  role       text not null default '',
  proxy_id   integer references proxies (id)
) strict, without rowid;

-- Local days of the configured time zone, written from zoneinfo.
create table local_days (
  day       text primary key,
  starts_at integer not null,
  ends_at   integer not null check (ends_at > starts_at)
) strict, without rowid;

create index local_days_by_start on local_days (starts_at, ends_at);

-- Periods with one offset from UTC, of the configured time zone.
create table zone_offsets (
  starts_at integer primary key,
  ends_at   integer not null check (ends_at > starts_at),
  offset_ms integer not null
) strict;

-- The price that a cost was computed with: the package or the settings, and the model there.
create table known_prices (
  id      integer primary key,
  source  text not null,
  version text not null,
  model   text not null,
  unique (source, version, model)
) strict;

-- How the entry of a price list was found, and the service tier that it was taken for.
create table price_rules (
  id   integer primary key,
  rule text not null,
  tier text not null,
  unique (rule, tier)
) strict;

-- Sums of fixed lengths of time, written in the transaction that stores the events: see rollups.py.
create table rollup_state (
  id            integer primary key check (id = 1),
  last_event_id integer not null,
  -- Buckets of the finest resolution are complete from this instant, and deleted before it.
  recent_from   integer not null,
  -- From this instant, the start of a week, every raw event is stored; older events are only in the
  -- rollups.
  raw_complete_from integer not null default 0,
  events_deleted    integer not null default 0
) strict;

insert into rollup_state (id, last_event_id, recent_from)
select
  1,
  0,
  cast((julianday('now') - 2440587.5) * 24 - 48 as integer) * 3600000;

-- The lengths of buckets. Days are UTC days; a week begins on a Thursday, as 1970 did. Resolution
-- 0, in views, is single events.
create table resolutions (
  resolution integer primary key,
  name       text not null unique,
  length_ms  integer not null
) strict;

insert into resolutions (resolution, name, length_ms)
values
  (1, 'minute', 60000),
  (2, 'quarter hour', 900000),
  (3, 'hour', 3600000),
  (4, 'day', 86400000),
  (5, 'week', 604800000);

-- How usage is divided, whose it is, and which resolutions answer that, from the finest to the
-- coarsest; 0 is events one by one. "fine" is 0 where only the sum of a range counts, else the
-- coarsest resolution that buckets may have: 1 minutes, 2 quarter hours, 3 hours.
create table slice_resolutions (
  slice       text not null,
  fine        integer not null check (fine between 0 and 3),
  -- The finest resolution that is kept for ever: without single events a range has such buckets.
  kept_ms     integer not null,
  -- 1: only where all of a range is recent, 0: only where it is not, null: always.
  recent_only integer check (recent_only in (0, 1)),
  resolution  integer not null,
  -- Of a range: its start, its end, or what the last bucket holds beyond it.
  part        text not null check (part in ('start', 'end', 'beyond')),
  length_ms   integer not null,
  coarser_ms  integer not null,
  coarsest_ms integer not null,
  -- Kept only for recent times; and which resolution answers instead, where buckets are not kept.
  is_recent   integer not null check (is_recent in (0, 1)),
  instead     integer not null,
  of_account  integer not null check (of_account in (0, 1)),
  of_model    integer not null check (of_model in (0, 1)),
  of_client   integer not null check (of_client in (0, 1)),
  primary key (slice, fine, kept_ms, resolution, part)
) strict, without rowid;

insert into slice_resolutions
with listed (slice, sums) as (
  values
    ('total', 'totals'),
    ('total of account', 'hours of one'),
    ('total of model', 'quarter hours'),
    ('total of client', 'quarter hours'),
    ('total of account of model', 'events'),
    ('total of account of client', 'events'),
    ('total of model of client', 'events'),
    ('total of account of model of client', 'events'),
    ('model', 'quarter hours'),
    ('model of account', 'days'),
    ('model of client', 'days'),
    ('model of account of client', 'events'),
    ('credential', 'hours'),
    ('credential of model', 'days'),
    ('credential of client', 'events'),
    ('credential of model of client', 'events'),
    ('client', 'quarter hours'),
    ('client of account', 'events'),
    ('client of model', 'events'),
    ('client of account of model', 'events'),
    ('latency', 'hours'),
    ('latency of models', 'weeks'),
    ('failures', 'failures'),
    ('failed attempts', 'events')
),
sets (sums, fine, kept, resolutions) as (
  values
    ('totals', 0, 2, '[0, 1, 2, 3, 4]'),
    ('totals', 3, 2, '[0, 1, 2, 3]'),
    ('totals', 2, 2, '[0, 1, 2]'),
    ('totals', 1, 2, '[0, 1, 2]'),
    ('totals', 1, 1, '[0, 1]'),
    ('quarter hours', 0, 2, '[0, 1, 2, 4]'),
    ('quarter hours', 3, 2, '[0, 1, 2]'),
    ('quarter hours', 2, 2, '[0, 1, 2]'),
    ('quarter hours', 1, 2, '[0, 1, 2]'),
    ('quarter hours', 1, 1, '[0, 1]'),
    ('hours', 0, 3, '[0, 1, 3, 4]'),
    ('hours', 3, 3, '[0, 1, 3]'),
    ('hours', 1, 3, '[0, 1, 3]'),
    ('hours', 1, 1, '[0, 1]'),
    ('hours of one', 0, 3, '[0, 1, 3, 4]'),
    ('hours of one', 3, 3, '[0, 1, 3]'),
    ('hours of one', 2, 0, '[0]'),
    ('hours of one', 1, 0, '[0]'),
    ('days', 0, 4, '[0, 3, 4]'),
    ('days', 3, 0, '[0]'),
    ('days', 2, 0, '[0]'),
    ('days', 1, 0, '[0]'),
    ('weeks', 0, 4, '[0, 3, 4, 5]'),
    ('failures', 0, 0, '[0, 3, 4]'),
    ('failures', 3, 0, '[0, 3]'),
    ('failures', 2, 0, '[0]'),
    ('failures', 1, 0, '[0]'),
    ('events', 0, 0, '[0]'),
    ('events', 3, 0, '[0]'),
    ('events', 2, 0, '[0]'),
    ('events', 1, 0, '[0]')
),
lengths (resolution, length_ms) as (
  select 0, 1
  union all
  select resolution, length_ms from resolutions
),
ordered as (
  select
    sums                                                as sums,
    fine                                                as fine,
    kept                                                as kept,
    value                                               as resolution,
    lead(value) over (partition by sums, fine, kept order by value) as coarser,
    max(value) over (partition by sums, fine, kept)     as coarsest,
    lag(value, 1, 0) over (partition by sums, fine, kept order by value) as finer
  from sets
  cross join json_each(resolutions)
)
select
  listed.slice,
  ordered.fine,
  kept.length_ms,
  iif(ordered.fine = 1 and ordered.kept > 0, ordered.kept = 1, null),
  ordered.resolution,
  parts.column1,
  own.length_ms,
  -- The coarsest one leaves nothing to a coarser one: a length beyond every range.
  coalesce(coarser.length_ms, 4000000000000000000),
  coarsest.length_ms,
  ordered.resolution between 1 and ordered.kept - 1,
  iif(ordered.finer >= ordered.kept, ordered.finer, 0),
  listed.slice like '% of account%',
  listed.slice like '% of model%' and listed.slice <> 'latency of models',
  listed.slice like '% of client%'
from listed
join ordered on ordered.sums = listed.sums
join lengths as own on own.resolution = ordered.resolution
join lengths as kept on kept.resolution = ordered.kept
join lengths as coarsest on coarsest.resolution = ordered.coarsest
left join lengths as coarser on coarser.resolution = ordered.coarser
cross join (values ('start'), ('end'), ('beyond')) as parts
where parts.column1 <> 'beyond' or ordered.resolution = 0;

-- Every rollup has its own resolutions, dimensions and measures, listed in rollups.py.
create table total_rollup (
  resolution          integer not null,
  bucket_at           integer not null,
  proxy_id            integer not null,
  requests            integer not null,
  failed              integer not null,
  input_tokens        integer not null,
  cached_tokens       integer not null,
  cache_write_tokens  integer not null,
  output_tokens       integer not null,
  reasoning_tokens    integer not null,
  unclassified_tokens integer not null,
  cost_microdollars   integer not null,
  unpriced            integer not null,
  saved_microdollars  integer not null default 0,
  -- Null where it is not known: sums from before cancelled attempts were told apart.
  cancelled           integer,
  primary key (resolution, bucket_at, proxy_id)
) strict, without rowid;

-- The same by model, with the sums that its speed is computed from.
create table model_rollup (
  resolution          integer not null,
  bucket_at           integer not null,
  proxy_id            integer not null,
  model_id            integer not null,
  requests            integer not null,
  failed              integer not null,
  input_tokens        integer not null,
  cached_tokens       integer not null,
  cache_write_tokens  integer not null,
  output_tokens       integer not null,
  reasoning_tokens    integer not null,
  unclassified_tokens integer not null,
  cost_microdollars   integer not null,
  unpriced            integer not null,
  timed_ms            integer not null,
  timed_tokens        integer not null,
  streamed_ms         integer not null,
  streamed_tokens     integer not null,
  saved_microdollars  integer not null default 0,
  cancelled           integer,
  primary key (resolution, bucket_at, proxy_id, model_id)
) strict, without rowid;

-- Client 0 stands for none.
create table client_rollup (
  resolution          integer not null,
  bucket_at           integer not null,
  proxy_id            integer not null,
  client_id           integer not null,
  requests            integer not null,
  failed              integer not null,
  input_tokens        integer not null,
  cached_tokens       integer not null,
  cache_write_tokens  integer not null,
  output_tokens       integer not null,
  reasoning_tokens    integer not null,
  unclassified_tokens integer not null,
  cost_microdollars   integer not null,
  unpriced            integer not null,
  saved_microdollars  integer not null default 0,
  cancelled           integer,
  primary key (resolution, bucket_at, proxy_id, client_id)
) strict, without rowid;

create table credential_rollup (
  resolution          integer not null,
  bucket_at           integer not null,
  credential_id       integer not null,
  requests            integer not null,
  failed              integer not null,
  input_tokens        integer not null,
  cached_tokens       integer not null,
  cache_write_tokens  integer not null,
  output_tokens       integer not null,
  reasoning_tokens    integer not null,
  unclassified_tokens integer not null,
  cost_microdollars   integer not null,
  unpriced            integer not null,
  saved_microdollars  integer not null default 0,
  cancelled           integer,
  primary key (resolution, bucket_at, credential_id)
) strict, without rowid;

create table credential_model_rollup (
  resolution          integer not null,
  bucket_at           integer not null,
  model_id            integer not null,
  credential_id       integer not null,
  requests            integer not null,
  failed              integer not null,
  input_tokens        integer not null,
  cached_tokens       integer not null,
  cache_write_tokens  integer not null,
  output_tokens       integer not null,
  reasoning_tokens    integer not null,
  unclassified_tokens integer not null,
  cost_microdollars   integer not null,
  unpriced            integer not null,
  saved_microdollars  integer not null default 0,
  cancelled           integer,
  primary key (resolution, model_id, bucket_at, credential_id)
) strict, without rowid;

create table client_model_rollup (
  resolution          integer not null,
  bucket_at           integer not null,
  client_id           integer not null,
  model_id            integer not null,
  proxy_id            integer not null,
  requests            integer not null,
  failed              integer not null,
  input_tokens        integer not null,
  cached_tokens       integer not null,
  cache_write_tokens  integer not null,
  output_tokens       integer not null,
  reasoning_tokens    integer not null,
  unclassified_tokens integer not null,
  cost_microdollars   integer not null,
  unpriced            integer not null,
  saved_microdollars  integer not null default 0,
  cancelled           integer,
  primary key (resolution, client_id, bucket_at, model_id, proxy_id)
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

-- Successful attempts by duration; kind 1 is latency, 2 time to first token.
create table latency_rollup (
  resolution integer not null,
  bucket_at  integer not null,
  proxy_id   integer not null,
  kind       integer not null check (kind in (1, 2)),
  ms         integer not null,
  requests   integer not null,
  primary key (resolution, bucket_at, proxy_id, kind, ms)
) strict, without rowid;

create table model_latency_rollup (
  resolution integer not null,
  bucket_at  integer not null,
  proxy_id   integer not null,
  model_id   integer not null,
  kind       integer not null check (kind in (1, 2)),
  ms         integer not null,
  requests   integer not null,
  primary key (resolution, bucket_at, proxy_id, model_id, kind, ms)
) strict, without rowid;

-- Failed attempts by status and code, stored as long as raw events; 0 and '' stand for none.
create table failure_rollup (
  resolution  integer not null,
  bucket_at   integer not null,
  proxy_id    integer not null,
  status_code integer not null,
  code        text not null,
  requests    integer not null,
  -- The last in the alphabet of its messages.
  message     text,
  cancelled   integer not null default 0,
  primary key (resolution, bucket_at, proxy_id, status_code, code)
) strict, without rowid;

-- When each credential last failed with a status and a code, which sums cannot show.
create table last_failures (
  status_code   integer not null,
  code          text not null,
  credential_id integer not null references credentials (id),
  last_at       integer not null,
  primary key (status_code, code, credential_id)
) strict, without rowid;

-- The credential files of the last listing, of the proxy's list or of its folder.
create table credential_files (
  proxy_id       integer not null references proxies (id),
  name           text not null,
  provider       text not null,
  account_id     integer not null references known_accounts (id) on delete cascade,
  disabled       integer not null check (disabled in (0, 1)),
  cooldown_until integer,
  -- What the proxy's events call it; null where only the file is known.
  auth_index     text,
  primary key (proxy_id, name)
) strict, without rowid;

create index credential_files_by_account on credential_files (account_id);

-- Credentials and files that a user assigned to an account; no account list changes that.
create table account_pins (
  proxy_id   integer not null references proxies (id),
  kind       text not null check (kind in ('auth_index', 'file')),
  value      text not null,
  account_id integer not null references known_accounts (id) on delete cascade,
  primary key (proxy_id, kind, value)
) strict, without rowid;

-- What users changed in accounts, with what it takes to undo it until it is confirmed.
create table account_changes (
  id           integer primary key,
  action       text not null check (action in ('merge', 'split', 'rename', 'forget')),
  account_id   integer not null,
  other_id     integer,
  made_at      integer not null,
  undo         text not null check (json_valid(undo)),
  confirmed_at integer,
  undone_at    integer
) strict;

-- The state of an account's quota as a whole. Null is unknown. observed_at is the instant of the
-- flags from allowed to reset_credits.
create table quota_accounts (
  account_id              integer primary key references known_accounts (id) on delete cascade,
  state                   text not null,
  http_status             integer,
  error_code              text,
  error_text              text check (length(error_text) <= 200),
  source                  text check (source in ('files', 'management')),
  fingerprint             text,
  last_attempt_at         integer,
  last_success_at         integer,
  next_attempt_at         integer,
  consecutive_failures    integer not null default 0 check (consecutive_failures >= 0),
  disabled                integer not null default 0 check (disabled in (0, 1)),
  cooldown_until          integer,
  token_expires_at        integer,
  subscription_until      integer,
  plan_raw                text,
  plan_source             text check (plan_source in ('endpoint', 'header', 'token')),
  plan_asked_at           integer,
  observed_at             integer,
  allowed                 integer check (allowed in (0, 1)),
  limit_reached           integer check (limit_reached in (0, 1)),
  reached_type            text,
  credits_has             integer check (credits_has in (0, 1)),
  credits_unlimited       integer check (credits_unlimited in (0, 1)),
  credits_overage_reached integer check (credits_overage_reached in (0, 1)),
  credits_balance         text,
  reset_credits           integer check (reset_credits >= 0),
  -- The end of the last Retry-After; nobody asks before.
  retry_after_at          integer,
  check ((plan_raw is null) = (plan_source is null))
) strict;

-- One limit of an account over one span of time, as last observed; retired when a complete
-- answer no longer has it. cycle, last_… and candidate_… are the state of its history.
create table quota_windows (
  id                  integer primary key,
  account_id          integer not null references known_accounts (id) on delete cascade,
  scope               text not null
                      check (scope in ('account', 'feature', 'model', 'group', 'spend')),
  scope_key           text not null,
  window_key          text not null,
  label               text not null,
  window_seconds      integer check (window_seconds > 0),
  used_percent        real check (used_percent >= 0),
  used_value          text,
  limit_value         text,
  unit                text,
  resets_at           integer,
  started             integer check (started in (0, 1)),
  allowed             integer check (allowed in (0, 1)),
  limit_reached       integer check (limit_reached in (0, 1)),
  gating              integer not null check (gating in (0, 1)),
  assumed             integer not null check (assumed in (0, 1)),
  source              text not null check (source in ('api', 'header', 'event')),
  observed_at         integer not null,
  retired_at          integer,
  cycle               integer not null default 0,
  last_at             integer,
  last_used           real,
  last_resets_at      integer,
  candidate_at        integer,
  candidate_used      real,
  candidate_resets_at integer,
  unique (account_id, scope, scope_key, window_key),
  check ((last_at is null) = (last_used is null)),
  check ((candidate_at is null) = (candidate_used is null))
) strict;

-- The history of a window: a point when its percentage or its cycle changed, and every half hour.
create table quota_points (
  window_id    integer not null references quota_windows (id) on delete cascade,
  cycle        integer not null,
  observed_at  integer not null,
  used_percent real not null check (used_percent >= 0),
  resets_at    integer,
  primary key (window_id, cycle, observed_at)
) strict, without rowid;

-- Allow-listed quota headers of the newest usage event of each credential and limit family, and
-- the error of a refused generation, whose family is "refused " and the model. The collector
-- writes them, the quota worker reads them.
create table quota_signals (
  credential_id integer not null references credentials (id),
  family        text not null,
  observed_at   integer not null,
  failed        integer not null check (failed in (0, 1)),
  status_code   integer,
  headers       text not null check (json_valid(headers)),
  error         text check (error is null or json_valid(error)),
  taken         integer not null default 0 check (taken in (0, 1)),
  primary key (credential_id, family)
) strict, without rowid;

-- What providers refused an account, its overage ('overage') or a group of models. Windows are
-- the keys of the refused windows, separated by spaces; ends_at is null while the end is unknown.
create table quota_refusals (
  account_id    integer not null references known_accounts (id) on delete cascade,
  scope         text not null,
  scope_key     text not null,
  reason        text not null,
  windows       text not null,
  refused_at    integer not null,
  ends_at       integer,
  needs_success integer not null check (needs_success in (0, 1)),
  primary key (account_id, scope, scope_key)
) strict, without rowid;

-- The verdict of each account, or of each of its groups of models, as the quota worker last
-- decided it. It is not valid before decided_at and after valid_until.
create table quota_verdicts (
  account_id     integer not null references known_accounts (id) on delete cascade,
  group_name     text not null,
  usable         integer check (usable in (0, 1)),
  reason         text not null,
  effective_left real,
  next_usable_at integer,
  blocked_by     text,
  observed_at    integer,
  decided_at     integer not null,
  valid_until    integer not null,
  primary key (account_id, group_name)
) strict, without rowid;

-- The changes of each verdict; a row is valid until the next row of the account and group.
create table quota_verdict_changes (
  account_id integer not null references known_accounts (id) on delete cascade,
  group_name text not null,
  since      integer not null,
  usable     integer check (usable in (0, 1)),
  reason     text not null,
  primary key (account_id, group_name, since)
) strict, without rowid;

-- Whether each window lasts until its reset, as the quota worker last projected it.
create table quota_forecasts (
  window_id         integer primary key references quota_windows (id) on delete cascade,
  outcome           text not null check (outcome in ('runs_out', 'lasts', 'exhausted', 'none')),
  reason            text,
  percent_per_hour  real,
  runs_out_at       integer,
  left_over_percent real,
  resets_at         integer,
  first_at          integer,
  first_used        real,
  last_at           integer,
  last_used         real,
  decided_at        integer not null,
  valid_until       integer not null
) strict;

-- The usage of the running cycles by the ledger's own events, as the quota worker last summed it.
create table quota_cycle_sums (
  window_id             integer primary key references quota_windows (id) on delete cascade,
  first_at              integer not null,
  last_at               integer not null,
  moved_percent         real not null,
  requests              integer not null,
  total_tokens          integer not null,
  cost_microdollars     integer,
  unpriced              integer,
  tokens_per_percent    real,
  dollars_per_percent   real,
  outside_percent       real not null,
  outside_share_percent real
) strict;

-- When the pool of a provider, or of a group of models there, has no usable account, as the quota
-- worker last projected it.
create table quota_pool_forecasts (
  provider    text not null,
  group_name  text not null,
  accounts    integer not null,
  usable      integer not null,
  unknown     integer not null,
  outcome     text not null
              check (outcome in ('exhausted', 'runs_out', 'may_run_out', 'lasts', 'none')),
  reason      text,
  out_from    integer,
  out_until   integer,
  returns_at  integer,
  decided_at  integer not null,
  valid_until integer not null,
  primary key (provider, group_name)
) strict, without rowid;

-- Accounts whose verdict has to be decided again.
create table quota_undecided (
  account_id integer primary key references known_accounts (id) on delete cascade
) strict;

-- Requests to refresh one account or all, with their outcome.
create table quota_requests (
  id           integer primary key,
  requested_at integer not null,
  account_id   integer references known_accounts (id) on delete cascade,
  answered_at  integer,
  outcome      text,
  check ((answered_at is null) = (outcome is null))
) strict;

create index open_quota_requests on quota_requests (id) where answered_at is null;

-- One run of a proxy, by its own counters: from the first reading to the last. The last two numbers
-- count the time between the last two readings.
create table proxy_runs (
  proxy_id      integer not null references proxies (id),
  since_at      integer not null,
  read_at       integer not null check (read_at >= since_at),
  last_event_id integer not null,
  last_counted  integer not null,
  last_stored   integer not null,
  primary key (proxy_id, since_at)
) strict, without rowid;

-- The attempts of one credential that a proxy counted in a run, and those that were stored in the
-- same time. An event that is stored between a query of the counters and the next empty pop may or
-- may not be in the proxy's count: stored_early counts these at the first reading, stored_late at
-- the last.
create table counter_readings (
  proxy_id      integer not null,
  since_at      integer not null,
  auth_index    text not null,
  first_counted integer not null,
  counted       integer not null,
  failed        integer not null,
  stored        integer not null,
  stored_early  integer not null,
  stored_late   integer not null,
  primary key (proxy_id, since_at, auth_index),
  foreign key (proxy_id, since_at) references proxy_runs (proxy_id, since_at) on delete cascade
) strict, without rowid;

create index rejected_events_left on rejected_events (id) where replayed_at is null;

-- One import of a file of another program, with its records by result; improved ones are among the
-- duplicates. The times are those of the earliest and the latest event.
create table imports (
  id          integer primary key,
  origin      text not null check (origin in ('original', 'keeper', 'export', 'events')),
  file        text not null,
  proxy_id    integer not null references proxies (id),
  started_at  integer not null,
  finished_at integer check (finished_at >= started_at),
  first_at    integer,
  last_at     integer,
  received    integer not null default 0,
  stored      integer not null default 0,
  duplicate   integer not null default 0,
  rejected    integer not null default 0,
  improved    integer not null default 0 check (improved <= duplicate),
  check (received = stored + duplicate + rejected)
) strict;

-- The user's own names for accounts and client keys, from the settings. `name` is a label; for an
-- account also provider:label, for a client also the salted hash of its key, in hexadecimal.
create table aliases (
  kind  text not null check (kind in ('account', 'client')),
  name  text not null,
  alias text not null,
  primary key (kind, name)
) strict, without rowid;

-- The alert rules of the settings, for the views. The alerts worker writes them when it starts;
-- without a row there is no rule.
create table alert_rules (
  rule      text primary key,
  enabled   integer not null check (enabled in (0, 1)),
  threshold real
) strict, without rowid;

-- The budgets of the settings, for a day, a week or a month; named is the displayed name of the
-- account or client.
create table budgets (
  budget text primary key,
  scope  text not null check (scope in ('total', 'account', 'client')),
  named  text not null check ((named = '') = (scope = 'total')),
  unit   text not null check (unit in ('tokens', 'dollars')),
  amount real not null check (amount > 0),
  per    text not null check (per in ('day', 'week', 'month'))
) strict, without rowid;

-- One episode of a condition, from its beginning to its end. A condition that does not hold for a
-- short time stays the same episode: clear_since is the start of that time.
create table alerts (
  id          integer primary key,
  rule        text not null,
  subject     text not null,
  severity    text not null check (severity in ('notice', 'warning', 'severe')),
  -- In the language of the settings when it began.
  sentence    text not null,
  value       real,
  threshold   real,
  tells_over  integer not null check (tells_over in (0, 1)),
  own         integer not null check (own in (0, 1)),
  began_at    integer not null,
  clear_since integer,
  ended_at    integer check (ended_at >= began_at),
  -- The problem that it is about, for texts in any language; a custom rule has none.
  code        text,
  parameters  text check (parameters is null or json_valid(parameters))
) strict;

create unique index open_alerts on alerts (rule, subject) where ended_at is null;
create index alerts_by_end on alerts (ended_at);

-- One of the addresses that alerts are sent to, as a salted hash and the name of its service.
create table alert_receivers (
  id           integer primary key,
  url_hash     blob not null unique,
  service      text not null,
  configured   integer not null default 1 check (configured in (0, 1)),
  failures     integer not null default 0 check (failures >= 0),
  next_try_at  integer not null default 0,
  last_error   text,
  last_sent_at integer
) strict;

-- The messages about an episode to a receiver: its beginning and its end. A message is not sent
-- before due_at, which may be the end of the quiet hours; sent_at is null until it is sent.
create table alert_deliveries (
  alert_id    integer not null references alerts (id) on delete cascade,
  receiver_id integer not null references alert_receivers (id) on delete cascade,
  part        text not null check (part in ('begin', 'over')),
  due_at      integer not null,
  sent_at     integer,
  primary key (alert_id, receiver_id, part)
) strict, without rowid;

create index waiting_deliveries on alert_deliveries (receiver_id) where sent_at is null;
