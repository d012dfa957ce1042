"""What `/metrics` tells, and which rows of the ledger it comes from."""

from plugins.metric_families import Metric, Source, one

USAGE = "select * from usage_ever"
COLLECTION = """
  select
    proxy,
    received,
    stored,
    duplicate,
    rejected,
    gaps,
    batches_at_risk,
    last_pop_at / 1000.0 as last_pop
  from collection_ever
"""
MISSING = """
  select
    proxies.name                as proxy,
    coalesce(maybe_missing, 0)  as maybe_missing
  from proxies
  left join (
    select
      proxy               as proxy,
      sum(maybe_missing)  as maybe_missing
    from gap_estimates
    group by proxy
  ) as estimates on estimates.proxy = proxies.name
"""
WORKERS = """
  select
    role                      as kind,
    coalesce(proxy, '')       as proxy,
    max(state = 'working')    as is_up,
    max(beat_at) / 1000.0     as beat
  from worker_states
  group by 1, 2
"""
ACCOUNTS = "select provider, state, accounts from account_counts"
# Accounts may share a name, and limits a label: the tightest one counts.
QUOTAS = """
  select
    provider                                              as provider,
    account                                               as account,
    label                                                 as window,
    min(left_percent) / 100.0                             as left_over,
    min(iif(started is not 0, resets_at, null)) / 1000.0  as resets
  from quota_window_states
  where not rolled_over
  group by 1, 2, 3
"""
ALERTS = """
  select
    rules.rule        as rule,
    count(alerts.id)  as open
  from (
    select rule from alert_rules where enabled
    union
    select rule from alerts where ended_at is null
  ) as rules
  left join alerts on alerts.rule = rules.rule and alerts.ended_at is null
  group by 1
"""
LEDGER = """
  select
    (select max(occurred_at) from usage_events) / 1000.0                    as last_event,
    last_event_id >= (select coalesce(max(id), 0) from usage_events)        as is_whole
  from rollup_state
"""


TOKENS = ("input", "cached", "cache_write", "output", "reasoning", "unclassified")
SOURCES = (
    Source(
        USAGE,
        ("proxy", "model"),
        (
            one("requests_total", "Upstream attempts.", "requests"),
            one("failures_total", "Upstream attempts that failed.", "failed"),
            Metric(
                "tokens_total",
                "Tokens; the kinds do not overlap, so that their sum is the total.",
                {kind: f"{kind}_tokens" for kind in TOKENS},
                "kind",
            ),
            one(
                "cost_dollars",
                "Cost at list price; repricing may lower it.",
                "cost_dollars",
            ),
            one("unpriced_requests", "Requests for which no price is known.", "unpriced"),
        ),
    ),
    Source(
        COLLECTION,
        ("proxy",),
        (
            one("records_received_total", "Records taken from the queue.", "received"),
            Metric(
                "records_total",
                "What became of the records: their sum is what was received.",
                {state: state for state in ("stored", "duplicate", "rejected")},
                "state",
            ),
            one("gaps_total", "Stretches without a working collector.", "gaps"),
            one("batches_at_risk_total", "Batches popped, never safe on disk.", "batches_at_risk"),
            one("last_pop_timestamp_seconds", "When the queue was last asked.", "last_pop"),
        ),
    ),
    Source(
        WORKERS,
        ("kind", "proxy"),
        (
            one("worker_up", "1 while a worker says that it works.", "is_up"),
            one("worker_beat_timestamp_seconds", "When a worker last gave a sign of life.", "beat"),
        ),
    ),
    Source(
        ALERTS,
        ("rule",),
        (one("alerts_open", "Alerts that are not over, by rule.", "open"),),
    ),
    Source(
        LEDGER,
        (),
        (
            one("last_event_timestamp_seconds", "Time of the newest event.", "last_event"),
            one(
                "rollups_complete",
                "0 while sums are worked out anew, and counters of usage are left out.",
                "is_whole",
            ),
        ),
    ),
)
# These take longer than a scrape may, and are worked out between scrapes.
ACCOUNT_SOURCES = {
    "accounts": Source(
        ACCOUNTS,
        ("provider", "state"),
        (one("accounts", "Accounts by whether they can be used now.", "accounts"),),
    ),
    "quotas": Source(
        QUOTAS,
        ("provider", "account", "window"),
        (
            one("quota_left_ratio", "What is left of a limit, from 0 to 1.", "left_over"),
            one("quota_reset_timestamp_seconds", "When a limit resets.", "resets"),
        ),
    ),
}
GAP_SOURCE = Source(
    MISSING,
    ("proxy",),
    (
        one(
            "events_maybe_missing",
            "By the rates around the gaps, how many events may be missing.",
            "maybe_missing",
        ),
    ),
)
FILE_BYTES = Metric("file_bytes", "Size of the ledger's file and of its log.", {}, "kind")
