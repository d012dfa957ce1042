"""Everything the dashboard shows, read from the ledger in one snapshot."""

import sqlite3
from collections.abc import Mapping
from typing import Any

import msgspec
from datasette.utils import sqlite_timelimit

from ledger.queries import queries
from plugins.masking import Mask
from plugins.page_plan import ACCOUNTS_SHOWN, LISTS, ROWS_SHOWN, Asked, Part, parts

MOST_MS = 3000
# A key's label says nothing of a person, the user's own name for a client may.
NAMES = """
  select account from named_accounts
  union
  select client from named_clients where client not like '…%' and client <> '(none)'
"""

Section = dict[str, Any]


def snapshot(conn: sqlite3.Connection, question: Asked, *, is_masked: bool) -> bytes:
    """Answer every part of the page from one state of the ledger, as JSON.

    Raises `sqlite3.OperationalError` ("interrupted") when it takes longer than 3 s.
    """
    conn.execute("begin")
    try:
        with sqlite_timelimit(conn, MOST_MS):
            mask = Mask(names(conn) if is_masked else ())
            question = named(question, mask)
            sections = {name: section(conn, part) for name, part in parts(question).items()}
    finally:
        conn.rollback()
    shorten(sections, LISTS - question.opened)
    if is_masked:
        sections = {name: hidden(found, mask) for name, found in sections.items()}
    return msgspec.json.encode({"sections": sections})


def section(conn: sqlite3.Connection, part: Part) -> Section | None:
    """Ask one canned query; None where the ledger has no such thing."""
    name, given = part
    query = queries().get(name)
    if query is None:
        return None
    parameters = {**dict.fromkeys(query.parameters, ""), **given}
    try:
        cursor = conn.execute(query.sql, parameters)
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return None
        raise
    columns = [column[0] for column in cursor.description]
    rows = [tuple(row) for row in cursor]
    count = len(rows)
    return {"query": name, "parameters": given, "columns": columns, "rows": rows, "count": count}


def shorten(sections: dict[str, Section | None], closed: frozenset[str]) -> None:
    """Keep the first rows of lists that are not opened, and only the quotas of accounts kept."""
    for name in closed - {"usable"}:
        if found := sections[name]:
            found["rows"] = found["rows"][:ROWS_SHOWN]
    # An account has a row for each group of models with limits of its own.
    accounts = list(dict.fromkeys(values(sections["usable"], "account_id")))
    if found := sections["usable"]:
        found["count"] = len(accounts)
    kept = set(accounts[:ACCOUNTS_SHOWN] if "usable" in closed else accounts)
    for name in ("usable", "quota", "forecast"):
        if found := sections[name]:
            pairs = zip(found["rows"], values(found, "account_id"), strict=True)
            found["rows"] = [row for row, account in pairs if account in kept]


def values(found: Section | None, column: str) -> list[Any]:
    """Give one column of a section; nothing where there is none."""
    if found is None or column not in found["columns"]:
        return []
    at = found["columns"].index(column)
    return [row[at] for row in found["rows"]]


def names(conn: sqlite3.Connection) -> list[str]:
    """Give every name that a picture must not show."""
    return [name for (name,) in conn.execute(NAMES)]


def named(question: Asked, mask: Mask) -> Asked:
    """Give a question that names accounts and clients by their masks as one by their names."""
    return question._replace(account=mask.name(question.account), client=mask.name(question.client))


def hidden(found: Section | None, mask: Mask) -> Section | None:
    """Mask a section. An address that names somebody by a mask would find nothing."""
    if found is None:
        return None
    rows = [list(map(mask.cell, found["columns"], row)) for row in found["rows"]]
    parameters: Mapping[str, str] = found["parameters"]
    is_open = "account" not in parameters and parameters.get("client") not in mask.by_name
    return {**found, "parameters": parameters if is_open else None, "rows": rows}
