-- Where a proxy is, beside its name, and whether the settings still name it.
alter table proxies add column address text;
alter table proxies add column configured integer not null default 1 check (configured in (0, 1));

update proxies set address = name;

-- What a worker does, and for which proxy, since each proxy has a collector of its own.
alter table heartbeats add column role text not null default '';
alter table heartbeats add column proxy_id integer references proxies (id);

update heartbeats set role = worker;
