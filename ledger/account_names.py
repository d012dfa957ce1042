"""The names of accounts, which are unique even where several accounts have one address.

One login may have several workspaces at its provider, each an account with the same address. The
plan distinguishes them, else the credential file, else the proxy's index of the credential. A name
of the user's own comes first: from `account rename`, or from the setting `account_aliases`, which
may also name an account by its file or by its index.
"""

import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

SEPARATOR = " · "
INDEX_LENGTH = 8
LOAD = """
  select
    id, provider, label, given_name, name, forgotten_at is not null,
    (select plan_raw from quota_accounts where account_id = known_accounts.id),
    (
      select group_concat(name, char(10))
      from (select name from credential_files where account_id = known_accounts.id order by name)
    ),
    (
      select group_concat(auth_index, char(10))
      from (select auth_index from credentials where account_id = known_accounts.id order by id)
    )
  from known_accounts
  where merged_into is null and (:label is null or label = :label)
  order by id
"""
ALIASES = "select name, alias from aliases where kind = 'account'"
WRITE = "update known_accounts set name = ? where id = ?"


class NamedAccount(NamedTuple):
    """An account with every value that its name may be made from; `name` is the stored name."""

    id: int
    provider: str
    label: str
    given_name: str | None
    name: str | None
    is_forgotten: bool
    plan: str | None
    files: tuple[str, ...]
    indexes: tuple[str, ...]


def name_accounts(conn: sqlite3.Connection, label: str | None = None) -> None:
    """Write the names of all accounts, or of those with a label, in the caller's transaction."""
    aliases = dict(conn.execute(ALIASES).fetchall())
    groups: dict[tuple[str, str], list[NamedAccount]] = {}
    for row in conn.execute(LOAD, {"label": label}):
        account = NamedAccount(*row[:7], *(tuple((text or "").split("\n")) for text in row[7:]))
        groups.setdefault((account.provider, account.label), []).append(account)
    for accounts in groups.values():
        names = account_names(accounts, aliases)
        for account, name in zip(accounts, names, strict=True):
            if account.name != name:
                conn.execute(WRITE, (name, account.id))


def account_names(accounts: Sequence[NamedAccount], aliases: Mapping[str, str]) -> list[str | None]:
    """Return the names of the accounts of one label; None for the label or its alias."""
    return [
        _name(account, suffix, aliases)
        for account, suffix in zip(accounts, suffixes(accounts), strict=True)
    ]


def suffixes(accounts: Sequence[NamedAccount]) -> list[str]:
    """Return the suffix of each account of one label; empty for the only account."""
    if len(accounts) == 1:
        return [""]
    plans = Counter(account.plan for account in accounts)
    details = [
        account.plan if account.plan and plans[account.plan] == 1 else _detail(account)
        for account in accounts
    ]
    counts = Counter(details)
    return [
        SEPARATOR + (detail if counts[detail] == 1 else f"{detail} #{account.id}")
        for account, detail in zip(accounts, details, strict=True)
    ]


def _name(account: NamedAccount, suffix: str, aliases: Mapping[str, str]) -> str | None:
    if account.is_forgotten:
        return f"(forgotten #{account.id})"
    full_label = f"{account.label}{suffix}"
    names = (f"{account.provider}:{full_label}", full_label) if suffix else ()
    if alias := account.given_name or _first(aliases, (*names, *_ids(account))):
        return alias
    # The view finds the alias of a label that only one account has.
    shared = _first(aliases, (f"{account.provider}:{account.label}", account.label))
    return f"{shared or account.label}{suffix}" if suffix else None


def _detail(account: NamedAccount) -> str:
    """Return a plan with the detail that distinguishes it from the same plan of another account."""
    parts = (account.plan, _file_part(account) or account.indexes[0][:INDEX_LENGTH])
    return " ".join(part for part in parts if part) or f"#{account.id}"


def _file_part(account: NamedAccount) -> str:
    """Return the part of a credential file's name besides provider, address and plan."""
    stem = account.files[0].removesuffix(".json").removeprefix(f"{account.provider}-")
    rest = stem.replace(account.label, "")
    if account.plan:
        rest = re.sub(rf"(?i)\b{re.escape(account.plan)}\b", "", rest)
    return re.sub(r"[-_ ]{2,}", "-", rest).strip("-_ ") or stem


def _ids(account: NamedAccount) -> tuple[str, ...]:
    return tuple(filter(None, (*account.files, *account.indexes)))


def _first(aliases: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((aliases[name] for name in names if name in aliases), None)
