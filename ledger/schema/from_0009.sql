-- What a ledger of schema version 9 lacks of 0010_ledger.sql. Its views are gone already.
alter table grains rename to resolutions;

alter table resolutions rename column grain to resolution;

alter table total_rollup rename column grain to resolution;

alter table model_rollup rename column grain to resolution;

alter table client_rollup rename column grain to resolution;

alter table credential_rollup rename column grain to resolution;

alter table credential_model_rollup rename column grain to resolution;

alter table client_model_rollup rename column grain to resolution;

alter table latency_rollup rename column grain to resolution;

alter table model_latency_rollup rename column grain to resolution;

-- Totals are kept by the hour too.
insert into total_rollup
select
  3,
  bucket_at - bucket_at % 3600000,
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
from total_rollup
where resolution = 2
group by 2, 3;

create table failure_rollup (
  resolution  integer not null,
  bucket_at   integer not null,
  proxy_id    integer not null,
  status_code integer not null,
  code        text not null,
  requests    integer not null,
  message     text,
  primary key (resolution, bucket_at, proxy_id, status_code, code)
) strict, without rowid;

insert into failure_rollup
select
  resolutions.resolution,
  occurred_at - occurred_at % length_ms,
  credentials.proxy_id,
  coalesce(status_code, 0),
  coalesce(code, ''),
  count(*),
  max(message)
from usage_events
join credentials on credentials.id = usage_events.credential_id
left join failure_details on failure_details.event_id = usage_events.id
join resolutions on resolutions.resolution in (3, 4)
where failed = 1
  and usage_events.id <= (select last_event_id from rollup_state)
  and occurred_at >= (select raw_complete_from from rollup_state)
group by 1, 2, 3, 4, 5;

create table last_failures (
  status_code   integer not null,
  code          text not null,
  credential_id integer not null references credentials (id),
  last_at       integer not null,
  primary key (status_code, code, credential_id)
) strict, without rowid;

insert into last_failures
select
  coalesce(status_code, 0),
  coalesce(code, ''),
  credential_id,
  max(occurred_at)
from usage_events
left join failure_details on failure_details.event_id = usage_events.id
where failed = 1
  and usage_events.id <= (select last_event_id from rollup_state)
  and occurred_at >= (select raw_complete_from from rollup_state)
group by 1, 2, 3;

-- The refusal of an account is a row of its own.
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

create table quota_verdict_changes (
  account_id integer not null references known_accounts (id) on delete cascade,
  group_name text not null,
  since      integer not null,
  usable     integer check (usable in (0, 1)),
  reason     text not null,
  primary key (account_id, group_name, since)
) strict, without rowid;

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

create table quota_undecided (
  account_id integer primary key references known_accounts (id) on delete cascade
) strict;

insert into quota_refusals
select account_id, 'account', '', 'usage_limit_reached', '', exhausted_at, exhausted_until, 0
from quota_accounts
where exhausted_until is not null;

alter table quota_accounts rename to quota_accounts_before;

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
  check ((plan_raw is null) = (plan_source is null))
) strict;

insert into quota_accounts
select
  account_id,
  state,
  http_status,
  error_code,
  error_text,
  source,
  fingerprint,
  last_attempt_at,
  last_success_at,
  next_attempt_at,
  consecutive_failures,
  disabled,
  cooldown_until,
  token_expires_at,
  subscription_until,
  plan_raw,
  plan_source,
  plan_asked_at,
  observed_at,
  allowed,
  limit_reached,
  reached_type,
  credits_has,
  credits_unlimited,
  credits_overage_reached,
  credits_balance,
  reset_credits
from quota_accounts_before;

drop table quota_accounts_before;

alter table usage_events add column answered_tier_id integer references known_tiers (id);

alter table usage_events add column saved_microdollars integer not null default 0;

alter table usage_events add column cost_reason integer check (cost_reason between 1 and 5);

create table price_rules (
  id   integer primary key,
  rule text not null,
  tier text not null,
  unique (rule, tier)
) strict;

alter table usage_events add column price_rule_id integer references price_rules (id);

-- Until now nothing but these two left a cost out.
update usage_events
set cost_reason = iif(total_tokens = unclassified_tokens, 3, 1)
where cost_microdollars is null;

alter table total_rollup add column saved_microdollars integer not null default 0;

alter table model_rollup add column saved_microdollars integer not null default 0;

alter table client_rollup add column saved_microdollars integer not null default 0;

alter table credential_rollup add column saved_microdollars integer not null default 0;

alter table credential_model_rollup add column saved_microdollars integer not null default 0;

alter table client_model_rollup add column saved_microdollars integer not null default 0;

create index events_without_cost on usage_events (cost_reason, model_id)
  where cost_reason is not null;
