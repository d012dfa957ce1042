-- The user's own names for accounts and client keys, from the settings. `name` is a label; for an
-- account also provider:label, for a client also the salted hash of its key, in hexadecimal.
create table aliases (
  kind  text not null check (kind in ('account', 'client')),
  name  text not null,
  alias text not null,
  primary key (kind, name)
) strict, without rowid;
