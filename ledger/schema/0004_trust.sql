-- From here on every raw event is kept; what is older lives in the rollups alone. A week's start.
alter table rollup_state add column raw_complete_from integer not null default 0;
alter table rollup_state add column events_deleted integer not null default 0;

-- One run of a proxy, as far as its own counters tell: from the first reading to the last. The
-- last two numbers are of the time between the last two readings.
create table proxy_runs (
  proxy_id      integer not null references proxies (id),
  since_at      integer not null,
  read_at       integer not null check (read_at >= since_at),
  last_event_id integer not null,
  last_counted  integer not null,
  last_stored   integer not null,
  primary key (proxy_id, since_at)
) strict, without rowid;

-- What a proxy counted of one credential in a run, and what was stored of it meanwhile. What is
-- stored between the question and the next empty pop may or may not be in the proxy's number:
-- stored_early at the first reading, stored_late at the last.
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
