-- One run over a file of another program, and what became of its records; improved ones are among
-- the duplicates. The times are of the earliest and the latest event that came in.
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

-- The import that an event came with; null for one that was collected from the proxy.
alter table usage_events add column import_id integer references imports (id);
