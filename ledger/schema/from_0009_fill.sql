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
