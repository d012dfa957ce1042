-- The rules as the settings have them, so that every view and every reader knows the thresholds.
-- Written by the alerts worker when it starts; without a row there is no rule.
create table alert_rules (
  rule      text primary key,
  enabled   integer not null check (enabled in (0, 1)),
  threshold real
) strict, without rowid;

-- What may be used in a day, a week or a month; named is the account or client as it is shown.
create table budgets (
  budget text primary key,
  scope  text not null check (scope in ('total', 'account', 'client')),
  named  text not null check ((named = '') = (scope = 'total')),
  unit   text not null check (unit in ('tokens', 'dollars')),
  amount real not null check (amount > 0),
  per    text not null check (per in ('day', 'week', 'month'))
) strict, without rowid;

-- One episode of a condition: from when it was first seen to when it was last over. A condition
-- that is away for a moment is the same episode: clear_since says since when.
create table alerts (
  id          integer primary key,
  rule        text not null,
  subject     text not null,
  severity    text not null check (severity in ('notice', 'warning', 'severe')),
  sentence    text not null,
  value       real,
  threshold   real,
  tells_over  integer not null check (tells_over in (0, 1)),
  own         integer not null check (own in (0, 1)),
  began_at    integer not null,
  clear_since integer,
  ended_at    integer check (ended_at >= began_at)
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

-- What a receiver is told of an episode: that it began, that it is over. Not before due_at, which
-- is the end of the quiet hours for what may wait; sent_at is null while it is still to be told.
create table alert_deliveries (
  alert_id    integer not null references alerts (id) on delete cascade,
  receiver_id integer not null references alert_receivers (id) on delete cascade,
  part        text not null check (part in ('begin', 'over')),
  due_at      integer not null,
  sent_at     integer,
  primary key (alert_id, receiver_id, part)
) strict, without rowid;

create index waiting_deliveries on alert_deliveries (receiver_id) where sent_at is null;
