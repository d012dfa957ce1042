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
