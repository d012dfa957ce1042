-- What the new tables, columns and rows of 0010_ledger.sql hold, from what is in a ledger of schema
-- version 9. Totals are kept by the hour too.
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

insert into failure_rollup (
  resolution, bucket_at, proxy_id, status_code, code, requests, message
)
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
insert into quota_refusals
select account_id, 'account', '', 'usage_limit_reached', '', exhausted_at, exhausted_until, 0
from quota_accounts_before
where exhausted_until is not null;

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
  reset_credits,
  null
from quota_accounts_before;

drop table quota_accounts_before;

alter table usage_events add column answered_tier_id integer references known_tiers (id);

alter table usage_events add column saved_microdollars integer not null default 0;

alter table usage_events add column cost_reason integer check (cost_reason between 1 and 5);

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

alter table alerts add column code text;

alter table alerts add column parameters text check (parameters is null or json_valid(parameters));

alter table usage_events
  add column cancelled integer not null default 0 check (cancelled in (0, 1) and cancelled <= failed);

update usage_events
set cancelled = 1
where failed = 1
  and (
    status_code = 499
    or coalesce(status_code, 0) in (0, 200, 500)
      and id in (
        select event_id from failure_details where lower(message) like '%context canceled%'
      )
  );

update failure_rollup
set cancelled = coalesce((
  select sum(usage_events.cancelled)
  from usage_events
  join credentials on credentials.id = usage_events.credential_id
  left join failure_details on failure_details.event_id = usage_events.id
  join resolutions on resolutions.resolution = failure_rollup.resolution
  where usage_events.failed = 1
    and usage_events.id <= (select last_event_id from rollup_state)
    and occurred_at >= failure_rollup.bucket_at
    and occurred_at < failure_rollup.bucket_at + length_ms
    and credentials.proxy_id = failure_rollup.proxy_id
    and coalesce(usage_events.status_code, 0) = failure_rollup.status_code
    and coalesce(failure_details.code, '') = failure_rollup.code
), 0)
where status_code in (0, 200, 499, 500);

-- Of what is in sums alone it is not known how much of it was cancelled.
alter table total_rollup add column cancelled integer;

update total_rollup
set cancelled = 0
where failed = 0 or bucket_at >= (select raw_complete_from from rollup_state);

update total_rollup as sums
set cancelled = sums.cancelled + found.events
from (
  select
    resolutions.resolution as resolution,
    occurred_at - occurred_at % length_ms as bucket_at,
    credentials.proxy_id as proxy_id,
    count(*) as events
  from usage_events
  join credentials on credentials.id = credential_id
  cross join resolutions
  where cancelled = 1
    and usage_events.id <= (select last_event_id from rollup_state)
    and occurred_at >= (select raw_complete_from from rollup_state)
  group by 1, 2, 3
) as found
where sums.resolution = found.resolution
  and sums.bucket_at = found.bucket_at
  and sums.proxy_id = found.proxy_id;

alter table model_rollup add column cancelled integer;

update model_rollup
set cancelled = 0
where failed = 0 or bucket_at >= (select raw_complete_from from rollup_state);

update model_rollup as sums
set cancelled = sums.cancelled + found.events
from (
  select
    resolutions.resolution as resolution,
    occurred_at - occurred_at % length_ms as bucket_at,
    credentials.proxy_id as proxy_id,
    model_id as model_id,
    count(*) as events
  from usage_events
  join credentials on credentials.id = credential_id
  cross join resolutions
  where cancelled = 1
    and usage_events.id <= (select last_event_id from rollup_state)
    and occurred_at >= (select raw_complete_from from rollup_state)
  group by 1, 2, 3, 4
) as found
where sums.resolution = found.resolution
  and sums.bucket_at = found.bucket_at
  and sums.proxy_id = found.proxy_id
  and sums.model_id = found.model_id;

alter table client_rollup add column cancelled integer;

update client_rollup
set cancelled = 0
where failed = 0 or bucket_at >= (select raw_complete_from from rollup_state);

update client_rollup as sums
set cancelled = sums.cancelled + found.events
from (
  select
    resolutions.resolution as resolution,
    occurred_at - occurred_at % length_ms as bucket_at,
    credentials.proxy_id as proxy_id,
    coalesce(client_id, 0) as client_id,
    count(*) as events
  from usage_events
  join credentials on credentials.id = credential_id
  cross join resolutions
  where cancelled = 1
    and usage_events.id <= (select last_event_id from rollup_state)
    and occurred_at >= (select raw_complete_from from rollup_state)
  group by 1, 2, 3, 4
) as found
where sums.resolution = found.resolution
  and sums.bucket_at = found.bucket_at
  and sums.proxy_id = found.proxy_id
  and sums.client_id = found.client_id;

alter table credential_rollup add column cancelled integer;

update credential_rollup
set cancelled = 0
where failed = 0 or bucket_at >= (select raw_complete_from from rollup_state);

update credential_rollup as sums
set cancelled = sums.cancelled + found.events
from (
  select
    resolutions.resolution as resolution,
    occurred_at - occurred_at % length_ms as bucket_at,
    credential_id as credential_id,
    count(*) as events
  from usage_events
  join credentials on credentials.id = credential_id
  cross join resolutions
  where cancelled = 1
    and usage_events.id <= (select last_event_id from rollup_state)
    and occurred_at >= (select raw_complete_from from rollup_state)
  group by 1, 2, 3
) as found
where sums.resolution = found.resolution
  and sums.bucket_at = found.bucket_at
  and sums.credential_id = found.credential_id;

alter table credential_model_rollup add column cancelled integer;

update credential_model_rollup
set cancelled = 0
where failed = 0 or bucket_at >= (select raw_complete_from from rollup_state);

update credential_model_rollup as sums
set cancelled = sums.cancelled + found.events
from (
  select
    resolutions.resolution as resolution,
    occurred_at - occurred_at % length_ms as bucket_at,
    model_id as model_id,
    credential_id as credential_id,
    count(*) as events
  from usage_events
  join credentials on credentials.id = credential_id
  cross join resolutions
  where cancelled = 1
    and usage_events.id <= (select last_event_id from rollup_state)
    and occurred_at >= (select raw_complete_from from rollup_state)
  group by 1, 2, 3, 4
) as found
where sums.resolution = found.resolution
  and sums.bucket_at = found.bucket_at
  and sums.model_id = found.model_id
  and sums.credential_id = found.credential_id;

alter table client_model_rollup add column cancelled integer;

update client_model_rollup
set cancelled = 0
where failed = 0 or bucket_at >= (select raw_complete_from from rollup_state);

update client_model_rollup as sums
set cancelled = sums.cancelled + found.events
from (
  select
    resolutions.resolution as resolution,
    occurred_at - occurred_at % length_ms as bucket_at,
    coalesce(client_id, 0) as client_id,
    model_id as model_id,
    credentials.proxy_id as proxy_id,
    count(*) as events
  from usage_events
  join credentials on credentials.id = credential_id
  cross join resolutions
  where cancelled = 1
    and usage_events.id <= (select last_event_id from rollup_state)
    and occurred_at >= (select raw_complete_from from rollup_state)
  group by 1, 2, 3, 4, 5
) as found
where sums.resolution = found.resolution
  and sums.bucket_at = found.bucket_at
  and sums.client_id = found.client_id
  and sums.model_id = found.model_id
  and sums.proxy_id = found.proxy_id;
