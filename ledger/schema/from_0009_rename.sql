-- A ledger of schema version 9 under the names of 0010_ledger.sql. Its views are gone already.
drop table ladders;

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

alter table refused_keys rename column told to worker;

-- The refusal of an account is a row of its own: the table is made anew.
alter table quota_accounts rename to quota_accounts_before;

alter table known_accounts add column name text;

alter table known_accounts add column given_name text;

alter table known_accounts add column merged_into integer references known_accounts (id);

alter table known_accounts add column forgotten_at integer;

alter table credential_files add column auth_index text;
