-- Histograms by proxy too, as all other rollups are. Where there is one proxy, all of them is its;
-- where there are several, everything is worked out anew from the raw events, and what is older
-- than these belongs to proxy 0: nobody knows which.
create temp table latency_before as
select
  grain,
  bucket_at,
  iif((select count(*) from proxies) = 1, (select id from proxies), 0) as proxy_id,
  kind,
  ms,
  requests
from latency_rollup;

create temp table model_latency_before as
select
  grain,
  bucket_at,
  iif((select count(*) from proxies) = 1, (select id from proxies), 0) as proxy_id,
  model_id,
  kind,
  ms,
  requests
from model_latency_rollup;

drop table latency_rollup;

drop table model_latency_rollup;

-- How many successful attempts took about so long; kind 1 is latency, 2 time to first token.
create table latency_rollup (
  grain     integer not null,
  bucket_at integer not null,
  proxy_id  integer not null,
  kind      integer not null check (kind in (1, 2)),
  ms        integer not null,
  requests  integer not null,
  primary key (grain, bucket_at, proxy_id, kind, ms)
) strict, without rowid;

create table model_latency_rollup (
  grain     integer not null,
  bucket_at integer not null,
  proxy_id  integer not null,
  model_id  integer not null,
  kind      integer not null check (kind in (1, 2)),
  ms        integer not null,
  requests  integer not null,
  primary key (grain, bucket_at, proxy_id, model_id, kind, ms)
) strict, without rowid;

insert into latency_rollup (grain, bucket_at, proxy_id, kind, ms, requests)
select grain, bucket_at, proxy_id, kind, ms, requests
from temp.latency_before
where proxy_id > 0 or bucket_at < (select raw_complete_from from rollup_state);

insert into model_latency_rollup (grain, bucket_at, proxy_id, model_id, kind, ms, requests)
select grain, bucket_at, proxy_id, model_id, kind, ms, requests
from temp.model_latency_before
where proxy_id > 0 or bucket_at < (select raw_complete_from from rollup_state);

drop table temp.latency_before;

drop table temp.model_latency_before;

delete from total_rollup
where (select count(*) from proxies) > 1
  and bucket_at >= (select raw_complete_from from rollup_state);

delete from model_rollup
where (select count(*) from proxies) > 1
  and bucket_at >= (select raw_complete_from from rollup_state);

delete from client_rollup
where (select count(*) from proxies) > 1
  and bucket_at >= (select raw_complete_from from rollup_state);

delete from credential_rollup
where (select count(*) from proxies) > 1
  and bucket_at >= (select raw_complete_from from rollup_state);

delete from credential_model_rollup
where (select count(*) from proxies) > 1
  and bucket_at >= (select raw_complete_from from rollup_state);

delete from client_model_rollup
where (select count(*) from proxies) > 1
  and bucket_at >= (select raw_complete_from from rollup_state);

-- `rollups.catch_up` fills them again, right after this step or as the collector goes.
update rollup_state set last_event_id = 0
where (select count(*) from proxies) > 1;
