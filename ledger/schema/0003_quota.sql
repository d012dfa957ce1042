-- The account at its provider: a hash of workspace and person, null until somebody told.
alter table known_accounts add column account_key text;

create unique index known_accounts_by_key on known_accounts (account_key)
where account_key is not null;

-- Each credential file that the last look found, in the proxy's list or in its folder.
create table credential_files (
  proxy_id       integer not null references proxies (id),
  name           text not null,
  provider       text not null,
  account_id     integer not null references known_accounts (id) on delete cascade,
  disabled       integer not null check (disabled in (0, 1)),
  cooldown_until integer,
  primary key (proxy_id, name)
) strict, without rowid;

create index credential_files_by_account on credential_files (account_id);

-- What is known of an account's quota as a whole. Null is unknown or not told. observed_at is
-- the instant that the flags from allowed to reset_credits are of.
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
  exhausted_until         integer,
  exhausted_at            integer,
  check ((plan_raw is null) = (plan_source is null)),
  check ((exhausted_until is null) = (exhausted_at is null))
) strict;

-- One limit of an account over one span of time, as last observed; retired when a complete
-- answer no longer has it. The track (cycle, last, candidate) is where its history stands.
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

-- The past of a window: where its percentage or its cycle changed, and every half hour.
create table quota_points (
  window_id    integer not null references quota_windows (id) on delete cascade,
  cycle        integer not null,
  observed_at  integer not null,
  used_percent real not null check (used_percent >= 0),
  resets_at    integer,
  primary key (window_id, cycle, observed_at)
) strict, without rowid;

-- Allow-listed quota headers of the newest usage event of each credential and limit family, and
-- the error of a refused generation. The collector writes, the quota worker takes.
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

-- "Refresh now", of one account or of all, and what came of it.
create table quota_requests (
  id           integer primary key,
  requested_at integer not null,
  account_id   integer references known_accounts (id) on delete cascade,
  answered_at  integer,
  outcome      text,
  check ((answered_at is null) = (outcome is null))
) strict;

create index open_quota_requests on quota_requests (id) where answered_at is null;
