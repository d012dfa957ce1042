-- From what age on (ms) an observation is no ground for "usable".
create view quota_staleness as
select
  coalesce(
    (select cast(value as integer) from settings where name = 'quota_stale_ms'),
    3600000
  ) as stale_ms;

-- What is known of each account as a whole; accounts whose credential files are gone are left out.
create view account_standings as
select
  known_accounts.id                                  as account_id,
  known_accounts.label                               as account,
  known_accounts.provider                            as provider,
  quota_accounts.plan_raw                            as plan,
  quota_accounts.plan_source                         as plan_source,
  coalesce(quota_accounts.state, 'never')            as state,
  coalesce(quota_accounts.disabled, 0)               as disabled,
  quota_accounts.observed_at                         as observed_at,
  quota_accounts.allowed                             as allowed,
  quota_accounts.limit_reached                       as limit_reached,
  quota_accounts.reached_type                        as reached_type,
  quota_accounts.exhausted_until                     as exhausted_until,
  quota_accounts.exhausted_at                        as exhausted_at,
  quota_accounts.credits_has                         as credits_has,
  quota_accounts.credits_unlimited                   as credits_unlimited,
  quota_accounts.credits_balance                     as credits_balance,
  quota_accounts.reset_credits                       as reset_credits,
  quota_accounts.token_expires_at                    as token_expires_at,
  quota_accounts.subscription_until                  as subscription_until,
  case
    when quota_accounts.cooldown_until > clock.now then quota_accounts.cooldown_until
  end                                                as cooldown_until,
  quota_accounts.source                              as asked_by,
  quota_accounts.http_status                         as http_status,
  quota_accounts.error_code                          as error_code,
  quota_accounts.error_text                          as error_text,
  coalesce(quota_accounts.consecutive_failures, 0)   as failures,
  quota_accounts.last_attempt_at                     as last_attempt_at,
  quota_accounts.last_success_at                     as last_success_at,
  quota_accounts.next_attempt_at                     as next_attempt_at
from known_accounts
cross join clock
left join quota_accounts on quota_accounts.account_id = known_accounts.id
where exists (select 1 from credential_files where account_id = known_accounts.id)
  or (
    quota_accounts.source is null
    and exists (select 1 from credentials where account_id = known_accounts.id)
  );

-- Each limit of each account now. A window that has reset since it was observed is rolled over:
-- its percentage is of the past, and left_percent is null, which always means unknown.
create view quota_window_states as
with placed as (
  select
    account_standings.account_id                      as account_id,
    account_standings.account                         as account,
    account_standings.provider                        as provider,
    account_standings.plan                            as plan,
    quota_windows.id                                  as window_id,
    quota_windows.scope                               as scope,
    quota_windows.scope_key                           as scope_key,
    quota_windows.window_key                          as window_key,
    quota_windows.label                               as label,
    quota_windows.window_seconds                      as window_seconds,
    quota_windows.used_percent                        as used_percent,
    quota_windows.used_value                          as used_value,
    quota_windows.limit_value                         as limit_value,
    quota_windows.unit                                as unit,
    quota_windows.resets_at                           as resets_at,
    quota_windows.started                             as started,
    quota_windows.limit_reached                       as limit_reached,
    quota_windows.gating                              as gating,
    quota_windows.assumed                             as assumed,
    quota_windows.source                              as source,
    quota_windows.observed_at                         as observed_at,
    clock.now                                         as now,
    coalesce(quota_windows.resets_at <= clock.now, 0) as rolled_over,
    -- A limit's reached flag stands on all its windows, so it accuses one only if it is alone.
    sum(quota_windows.gating = 1 and coalesce(quota_windows.limit_reached, 0) = 1) over (
      partition by quota_windows.account_id, quota_windows.scope, quota_windows.scope_key
    )                                                 as suspects
  from quota_windows
  join account_standings using (account_id)
  cross join clock
  where quota_windows.retired_at is null
),
judged as (
  select
    *,
    case
      when used_percent is null or rolled_over then null
      else min(max(100 - used_percent, 0.0), 100.0)
    end as left_percent,
    coalesce(used_percent >= 100, 0)
      or (gating = 1 and coalesce(limit_reached, 0) = 1 and suspects = 1) as spent
  from placed
)
select
  account_id                                          as account_id,
  account                                             as account,
  provider                                            as provider,
  plan                                                as plan,
  window_id                                           as window_id,
  scope                                               as scope,
  scope_key                                           as scope_key,
  window_key                                          as window_key,
  label                                               as label,
  window_seconds                                      as window_seconds,
  used_percent                                        as used_percent,
  left_percent                                        as left_percent,
  used_value                                          as used_value,
  limit_value                                         as limit_value,
  unit                                                as unit,
  resets_at                                           as resets_at,
  started                                             as started,
  limit_reached                                       as limit_reached,
  gating                                              as gating,
  assumed                                             as assumed,
  source                                              as source,
  observed_at                                         as observed_at,
  (now - observed_at) / 1000                          as age_seconds,
  now - observed_at > quota_staleness.stale_ms        as stale,
  rolled_over                                         as rolled_over,
  spent                                               as spent,
  -- A provider may need two minutes after a reset before it answers again.
  spent and not coalesce(resets_at + 120000 <= now, 0) as blocking,
  left_percent / ((resets_at - now) / 3600000.0)      as left_per_hour
from judged
cross join quota_staleness;

-- Can an account be used now, for each group of models that has limits of its own ('' for an
-- account without groups): usable is 1, 0 or null for unknown, with the reason.
create view group_verdicts as
with own_groups as (
  select distinct
    account_id as account_id,
    scope_key  as group_name
  from quota_window_states
  where gating = 1 and scope = 'group'
),
all_groups as (
  select account_id, group_name from own_groups
  union all
  select account_id, '' from account_standings
  where account_id not in (select account_id from own_groups)
),
budgets as (
  select
    account_id                                      as account_id,
    max(used_percent is null or used_percent < 100) as covered,
    max(coalesce(left_percent, 0) > 0)              as open
  from quota_window_states
  where scope = 'spend' and gating = 0
  group by account_id
),
-- The blocking windows that no later permission excuses; spend is never excused.
accusing as (
  select
    states.*,
    states.blocking and (
      states.scope = 'spend'
      or account_standings.allowed is not 1
      or account_standings.observed_at is null
      or account_standings.observed_at < states.observed_at
    ) as accused
  from quota_window_states as states
  join account_standings using (account_id)
  where states.gating = 1
),
summed as (
  select
    account_standings.*,
    all_groups.group_name                               as group_name,
    clock.now                                           as now,
    quota_staleness.stale_ms                            as stale_ms,
    count(window_id)                                    as windows,
    coalesce(sum(not rolled_over), 0)                   as current,
    coalesce(sum(not rolled_over and left_percent is null), 0) as blind,
    coalesce(sum(blocking), 0)                          as blocking,
    coalesce(max(spent), 0)                             as spent,
    coalesce(sum(accused), 0)                           as accused,
    coalesce(sum(accused and scope = 'spend'), 0)       as accused_spend,
    min(coalesce(left_percent, case when blocking and used_percent is null then 0.0 end))
                                                        as effective_left,
    coalesce(max(accusing.observed_at), 0)              as seen_at,
    min(case when not rolled_over and used_percent is not null then accusing.observed_at end)
                                                        as known_since,
    coalesce(sum(blocking and accusing.resets_at > clock.now), 0) as ends,
    max(case when blocking and accusing.resets_at > clock.now then accusing.resets_at end)
                                                        as last_end,
    group_concat(case when blocking then label end, ', ') as blocked_by
  from all_groups
  join account_standings using (account_id)
  cross join clock
  cross join quota_staleness
  left join accusing
    on accusing.account_id = all_groups.account_id
    and (accusing.scope <> 'group' or accusing.scope_key = all_groups.group_name)
  group by all_groups.account_id, all_groups.group_name
),
told as (
  select
    summed.*,
    coalesce(budgets.covered, 0)                        as covered,
    coalesce(budgets.open, 0)                           as open_budget,
    summed.observed_at is null or now - summed.observed_at > stale_ms as is_old,
    case
      when disabled then 'disabled'
      when state in ('needs_login', 'deactivated') then state
    end                                                 as closed,
    -- Whatever was observed after a refused generation knows better.
    coalesce(exhausted_until > now, 0)
      and max(coalesce(summed.observed_at, 0), seen_at) <= exhausted_at as exhausted,
    case
      when reached_type <> '' and allowed is not 1 then reached_type
      when limit_reached = 1 then 'limit_reached'
      when allowed = 0 then 'not_allowed'
    end                                                 as flagged
  from summed
  left join budgets using (account_id)
),
reasoned as (
  select
    *,
    coalesce(
      closed,
      case when exhausted then 'usage_limit_reached' end,
      -- Without a window that explains them, flags stand only while fresh and unexplained.
      case when blocking > 0 or not (spent or is_old) then flagged end,
      case when accused_spend > 0 then 'spend_reached' end,
      case when accused > 0 and not covered then 'window_spent' end
    ) as refusal,
    coalesce(
      case when state in ('wrong_workspace', 'auth_error') then state end,
      case when flagged is not null and is_old then 'stale' end,
      case when flagged is not null then 'rolled_over' end,
      case when accused > 0 and not open_budget then 'overage_unknown' end,
      case when windows = 0 and state = 'ok' then 'no_limit_published' end,
      case when windows = 0 then state end,
      case when current = 0 then 'rolled_over' end,
      case when blind > 0 and (blind = current or allowed is not 1) then 'percent_unknown' end,
      case when known_since is null or now - known_since > stale_ms then 'stale' end
    ) as doubt
  from told
)
select
  account_id                                          as account_id,
  account                                             as account,
  provider                                            as provider,
  plan                                                as plan,
  group_name                                          as group_name,
  state                                               as state,
  case when refusal is not null then 0 when doubt is null then 1 end as usable,
  coalesce(
    refusal,
    doubt,
    case when accused > 0 then 'overage' when allowed then 'allowed' else 'within_limits' end
  )                                                   as reason,
  effective_left                                      as effective_left,
  -- The last of the blocks decides, and one without an end leaves the end unknown.
  case
    when refusal is not null and closed is null and ends + exhausted > 0
      and ends = blocking
      then max(coalesce(last_end, 0), case when exhausted then exhausted_until else 0 end)
  end                                                 as next_usable_at,
  case when refusal is not null then blocked_by end   as blocked_by,
  cooldown_until                                      as cooldown_until,
  (now - max(coalesce(observed_at, 0), seen_at)) / 1000
    * case when observed_at is null and seen_at = 0 then null else 1 end as age_seconds
from reasoned;

-- Can an account be used now: as good as the best of its groups. `turn` and `turn_value` order
-- the accounts: usable by most left, blocked by soonest return, unknown and closed last.
create view account_verdicts as
with ranked as (
  select
    *,
    case
      when usable is null or reason in ('disabled', 'needs_login', 'deactivated') then 2
      when usable = 1 then 0
      else 1
    end as own_turn,
    case
      when usable is null or reason in ('disabled', 'needs_login', 'deactivated') then 0.0
      when usable = 1 then -coalesce(effective_left, 0.0)
      else coalesce(next_usable_at, 9e999)
    end as own_value
  from group_verdicts
),
placed as (
  select
    *,
    row_number() over (
      partition by account_id
      order by
        case when usable = 1 then 0 when usable is null then 1 else 2 end,
        own_turn,
        own_value,
        group_name
    ) as place,
    group_concat(
      group_name || ': ' || case usable when 1 then 'yes' when 0 then 'no' else 'unknown' end, ', '
    ) over (partition by account_id) as groups
  from ranked
)
select
  account_id                                            as account_id,
  account                                               as account,
  provider                                              as provider,
  plan                                                  as plan,
  state                                                 as state,
  usable                                                as usable,
  reason                                                as reason,
  effective_left                                        as effective_left,
  next_usable_at                                        as next_usable_at,
  blocked_by                                            as blocked_by,
  case when group_name <> '' then groups end            as groups,
  cooldown_until                                        as cooldown_until,
  age_seconds                                           as age_seconds,
  case when state = 'token_expired' then 2 else own_turn end    as turn,
  case when state = 'token_expired' then 0.0 else own_value end as turn_value
from placed
where place = 1;

-- The observations of each window's running cycle, oldest first by observed_at.
create view quota_cycle_points as
select
  quota_windows.id            as window_id,
  quota_points.observed_at    as observed_at,
  quota_points.used_percent   as used_percent
from quota_windows
join quota_points
  on quota_points.window_id = quota_windows.id and quota_points.cycle = quota_windows.cycle
where quota_windows.retired_at is null
union
select
  id        as window_id,
  last_at   as observed_at,
  last_used as used_percent
from quota_windows
where retired_at is null and last_at is not null;

-- Will a window last until its reset: outcome is runs_out, lasts, exhausted, or none with the
-- reason. Rates are of the last hour for 5 hours, the last day for a week, three days for a
-- month, and of the whole cycle where too little was seen lately.
create view quota_window_forecasts as
with tracks as (
  select
    states.*,
    clock.now                                         as now,
    case when states.used_percent is not null then quota_windows.last_at end as last_at,
    quota_windows.last_used                           as last_used,
    quota_windows.last_resets_at                      as ends_at,
    -- A restart that left the reset alone shows in the cycle's number.
    quota_windows.cycle % 300000 <> 0                 as early,
    quota_windows.last_resets_at - states.window_seconds * 1000 as opened_at,
    coalesce(states.window_seconds, 2592000) * 1000 / case
      when coalesce(states.window_seconds, 2592000) <= 86400 then 5
      when coalesce(states.window_seconds, 2592000) <= 604800 then 7
      else 10
    end                                               as horizon_ms
  from quota_window_states as states
  join quota_windows on quota_windows.id = states.window_id
  cross join clock
),
beginnings as (
  select
    window_id         as window_id,
    min(observed_at)  as first_at,
    used_percent      as first_used
  from quota_cycle_points
  group by window_id
),
recent as (
  select
    quota_cycle_points.window_id        as window_id,
    count(*)                            as points,
    min(quota_cycle_points.observed_at) as recent_at,
    quota_cycle_points.used_percent     as recent_used
  from quota_cycle_points
  join tracks using (window_id)
  where quota_cycle_points.observed_at >= tracks.last_at - tracks.horizon_ms
  group by quota_cycle_points.window_id
),
rates as (
  select
    tracks.*,
    beginnings.first_at                               as first_at,
    beginnings.first_used                             as first_used,
    case
      -- Percentages are mostly whole numbers: less than 2 of movement has no direction.
      when recent.points >= 3 and last_used - recent_used >= 2 and last_at > recent_at
        then (last_used - recent_used) / (last_at - recent_at)
      when early or opened_at is null
        then case
          when last_used - first_used >= 2 and last_at > first_at
            then (last_used - first_used) / (last_at - first_at)
        end
      when last_used >= 2 and last_at > opened_at then last_used / (last_at - opened_at)
    end                                               as rate,
    case
      when started = 0 then 'not_started'
      when last_at is null or ends_at is null then 'unknown'
      when ends_at <= now then 'rolled_over'
      when now - last_at > 7200000 then 'stale'
      when now - opened_at < 0.02 * window_seconds * 1000 then 'too_early'
    end                                               as silence
  from tracks
  left join beginnings using (window_id)
  left join recent using (window_id)
),
projected as (
  select
    *,
    last_at + cast(round((100 - last_used) / rate) as integer) as empty_at
  from rates
),
decided as (
  select
    *,
    case
      when silence is not null then 'none'
      when last_used >= 100 then 'exhausted'
      when rate is null then 'none'
      when empty_at < ends_at then 'runs_out'
      else 'lasts'
    end as outcome
  from projected
)
select
  account_id                                          as account_id,
  account                                             as account,
  provider                                            as provider,
  plan                                                as plan,
  window_id                                           as window_id,
  scope                                               as scope,
  label                                               as label,
  used_percent                                        as used_percent,
  ends_at                                             as resets_at,
  outcome                                             as outcome,
  case when outcome = 'none' then coalesce(silence, 'too_little_data') end as reason,
  case when outcome in ('runs_out', 'lasts') then rate * 3600000 end as percent_per_hour,
  case when outcome = 'runs_out' then max(empty_at, now) end as runs_out_at,
  case
    when outcome = 'lasts' then max(100 - last_used - rate * (ends_at - last_at), 0.0)
  end                                                 as left_over_percent,
  first_at                                            as first_at,
  first_used                                          as first_used,
  last_at                                             as last_at,
  last_used                                           as last_used
from decided;

-- What an account's running cycles took by this ledger's own events: tokens and cost for each
-- percent point, and how much moved while there was no event, which others must have used.
create view quota_cycle_usage as
with stretches as (
  select
    forecasts.account_id                    as account_id,
    forecasts.window_id                     as window_id,
    forecasts.first_at                      as first_at,
    forecasts.last_at                       as last_at,
    forecasts.last_used - forecasts.first_used as moved_percent
  from quota_window_forecasts as forecasts
  where forecasts.scope = 'account' and forecasts.last_at > forecasts.first_at
),
steps as (
  select
    quota_cycle_points.window_id            as window_id,
    stretches.account_id                    as account_id,
    quota_cycle_points.observed_at          as observed_at,
    lag(quota_cycle_points.observed_at) over points as before_at,
    quota_cycle_points.used_percent - lag(quota_cycle_points.used_percent) over points as moved
  from quota_cycle_points
  join stretches using (window_id)
  window points as (partition by quota_cycle_points.window_id order by quota_cycle_points.observed_at)
),
outside as (
  select
    window_id  as window_id,
    sum(moved) as moved_percent,
    sum(
      case
        when not exists (
          select 1
          from credentials
          join usage_events
            on usage_events.credential_id = credentials.id
            -- A long request counts when it ends, a quarter of an hour after its event's time.
            and usage_events.occurred_at > steps.before_at - 900000
            and usage_events.occurred_at <= steps.observed_at
          where credentials.account_id = steps.account_id
        ) then moved
        else 0
      end
    )          as outside_percent
  from steps
  where moved > 0
  group by window_id
),
inside as (
  select
    stretches.window_id                     as window_id,
    count(*)                                as requests,
    sum(usage_events.total_tokens)          as total_tokens,
    sum(usage_events.cost_microdollars)     as cost_microdollars
  from stretches
  join credentials on credentials.account_id = stretches.account_id
  join usage_events
    on usage_events.credential_id = credentials.id
    and usage_events.occurred_at > stretches.first_at
    and usage_events.occurred_at <= stretches.last_at
  group by stretches.window_id
)
select
  stretches.account_id                                as account_id,
  stretches.window_id                                 as window_id,
  stretches.first_at                                  as first_at,
  stretches.last_at                                   as last_at,
  stretches.moved_percent                             as moved_percent,
  coalesce(inside.requests, 0)                        as requests,
  coalesce(inside.total_tokens, 0)                    as total_tokens,
  inside.cost_microdollars                            as cost_microdollars,
  case
    when stretches.moved_percent >= 2 and inside.requests > 0
      then inside.total_tokens / stretches.moved_percent
  end                                                 as tokens_per_percent,
  case
    when stretches.moved_percent >= 2 and inside.requests > 0
      then inside.cost_microdollars / 1e6 / stretches.moved_percent
  end                                                 as dollars_per_percent,
  coalesce(outside.outside_percent, 0.0)              as outside_percent,
  100.0 * outside.outside_percent / outside.moved_percent as outside_share_percent
from stretches
left join inside using (window_id)
left join outside using (window_id);

-- Every kept observation, with local times for charts.
create view quota_observations as
select
  known_accounts.id                                   as account_id,
  known_accounts.label                                as account,
  known_accounts.provider                             as provider,
  quota_windows.id                                    as window_id,
  quota_windows.scope                                 as scope,
  quota_windows.label                                 as label,
  quota_points.cycle                                  as cycle,
  quota_points.observed_at                            as observed_at,
  datetime((quota_points.observed_at + coalesce(zone_offsets.offset_ms, 0)) / 1000, 'unixepoch')
                                                      as observed_local,
  quota_points.used_percent                           as used_percent,
  min(max(100 - quota_points.used_percent, 0.0), 100.0) as left_percent,
  quota_points.resets_at                              as resets_at
from quota_points
join quota_windows on quota_windows.id = quota_points.window_id
join known_accounts on known_accounts.id = quota_windows.account_id
left join zone_offsets
  on zone_offsets.starts_at <= quota_points.observed_at
  and quota_points.observed_at < zone_offsets.ends_at;

-- How each cycle ended: what was left is gone. Early means before its time, by a banked reset or
-- the provider's will; unseen_seconds is how long before the end nobody looked.
create view quota_cycle_ends as
with cycles as (
  select
    window_id         as window_id,
    cycle             as cycle,
    min(observed_at)  as first_at
  from quota_points
  where cycle <> 0
  group by window_id, cycle
),
lasts as (
  select
    window_id         as window_id,
    cycle             as cycle,
    max(observed_at)  as last_at,
    used_percent      as last_used,
    resets_at         as resets_at
  from quota_points
  where cycle <> 0
  group by window_id, cycle
),
followed as (
  select
    cycles.*,
    lasts.last_at     as last_at,
    lasts.last_used   as last_used,
    lasts.resets_at   as resets_at,
    lead(cycles.first_at) over (partition by cycles.window_id order by cycles.first_at) as next_at
  from cycles
  join lasts using (window_id, cycle)
),
ended as (
  select
    followed.*,
    -- Half a minute: reset instants jitter between polls.
    coalesce(next_at < resets_at - 30000, 0)         as early,
    case when next_at < resets_at - 30000 then next_at else resets_at end as ended_at
  from followed
  cross join clock
  where next_at is not null or resets_at <= clock.now
)
select
  known_accounts.id                                   as account_id,
  known_accounts.label                                as account,
  known_accounts.provider                             as provider,
  quota_windows.id                                    as window_id,
  quota_windows.scope                                 as scope,
  quota_windows.label                                 as label,
  ended.first_at                                      as first_at,
  ended.last_at                                       as last_at,
  ended.ended_at                                      as ended_at,
  ended.early                                         as early,
  ended.last_used                                     as used_percent,
  min(max(100 - ended.last_used, 0.0), 100.0)         as left_unused_percent,
  max(ended.ended_at - ended.last_at, 0) / 1000       as unseen_seconds
from ended
join quota_windows on quota_windows.id = ended.window_id
join known_accounts on known_accounts.id = quota_windows.account_id;

-- Each account whose quota cannot be read as it should, and what to do about it.
create view quota_troubles as
select
  account_id                                          as account_id,
  account                                             as account,
  provider                                            as provider,
  case when disabled then 'disabled' else state end   as state,
  case
    when disabled then 'disabled in the proxy: nothing to do, or enable it there'
    when state = 'needs_login' then 'log in again: the provider has ended this login'
    when state = 'deactivated' then 'the provider has closed this account or workspace'
    when state = 'unsupported_credential' then 'log in again: this token may not read quotas'
    when state = 'token_expired' then 'wait: the proxy renews the token when it next uses it'
    when state = 'wrong_workspace' then 'the answer was about another workspace: log in again'
    when state = 'auth_error' then 'the provider refuses this login: log in again if it lasts'
    when state = 'blocked_network' then 'the provider''s edge blocks this network, not the account'
    when state = 'rate_limited' then 'asked too often, by us or by others: we ask less now'
    when state = 'bad_response' then 'the answer was none that we know: upgrade if it lasts'
    when error_code = 'proxy_unusable' then 'use quota_source management for this account'
    when state = 'unavailable' then 'wait: we ask again'
    when state = 'never' then 'not asked yet'
    else 'wait, and report this state if it lasts'
  end                                                 as advice,
  http_status                                         as http_status,
  error_code                                          as error_code,
  error_text                                          as error_text,
  failures                                            as failures,
  last_attempt_at                                     as last_attempt_at,
  last_success_at                                     as last_success_at,
  next_attempt_at                                     as next_attempt_at
from account_standings
where disabled or state not in ('ok', 'no_source', 'never');

-- One row for each account in the shape of the original script: "primary" is its 5-hour window,
-- "secondary" its weekly one, whatever the provider calls first; null is unknown.
create view account_quotas as
with shown as (
  select
    account_id                                        as account_id,
    window_key                                        as window_key,
    case
      when rolled_over then null
      when used_percent = cast(used_percent as integer) then cast(used_percent as integer)
      else used_percent
    end                                               as used,
    case
      when left_percent = cast(left_percent as integer) then cast(left_percent as integer)
      else left_percent
    end                                               as remaining,
    case
      when not rolled_over then datetime(
        (
          resets_at + coalesce(
            (
              select offset_ms
              from zone_offsets
              where starts_at <= resets_at and resets_at < ends_at
            ),
            0
          )
        ) / 1000,
        'unixepoch'
      )
    end                                               as reset_at
  from quota_window_states
  where scope = 'account' and scope_key = ''
)
select
  verdicts.account_id                                 as account_id,
  verdicts.account                                    as email,
  verdicts.plan                                       as plan,
  verdicts.usable                                     as allowed,
  case
    when verdicts.usable is null then null
    else verdicts.usable = 0 and (
      verdicts.blocked_by is not null
      or coalesce(standings.limit_reached, 0) = 1
      or verdicts.reason = 'usage_limit_reached'
    )
  end                                                 as limit_reached,
  five_hours.used                                     as primary_used_percent,
  five_hours.remaining                                as primary_remaining_percent,
  five_hours.reset_at                                 as primary_reset_at,
  week.used                                           as secondary_used_percent,
  week.remaining                                      as secondary_remaining_percent,
  week.reset_at                                       as secondary_reset_at,
  standings.credits_balance                           as credits_balance,
  strftime('%Y-%m-%dT%H:%M:%SZ', clock.now / 1000 - verdicts.age_seconds, 'unixepoch')
                                                      as timestamp,
  clock.now / 1000 - verdicts.age_seconds             as ts_epoch
from account_verdicts as verdicts
join account_standings as standings using (account_id)
cross join clock
left join shown as five_hours
  on five_hours.account_id = verdicts.account_id and five_hours.window_key = '5h'
left join shown as week
  on week.account_id = verdicts.account_id and week.window_key = '7d'
where verdicts.state <> 'no_source';
