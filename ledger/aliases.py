"""The user's own names for accounts and client keys, as a small table that views join."""

import sqlite3
from pathlib import Path
from typing import NamedTuple

from ledger.keys import Salt, load_salt
from ledger.settings import Aliases


class AliasRow(NamedTuple):
    """A row of the table; `kind` is account or client."""

    kind: str
    name: str
    alias: str


def table_rows(aliases: Aliases, folder: Path) -> list[AliasRow]:
    """Return the table's rows: each client key as its hash with the salt of the data folder."""
    rows = [AliasRow("account", label, alias) for label, alias in aliases.accounts.items()]
    if aliases.clients:
        salt = load_salt(folder)
        rows += [
            AliasRow("client", client_name(text, salt), alias)
            for text, alias in aliases.clients.items()
        ]
    return rows


def client_name(text: str, salt: Salt) -> str:
    """Return the name of a client in the table: its label unchanged, or the hash of its key."""
    if text.startswith(("…", "...")):
        return f"…{text.removeprefix('...').removeprefix('…')}"
    return salt.key(text).hash.hex().upper()


def update(conn: sqlite3.Connection, rows: list[AliasRow]) -> None:
    """Rewrite the table when it differs, inside the caller's transaction."""
    # Where two spellings mean one label, the last one wins.
    names = {(row.kind, row.name): row.alias for row in rows}
    stored = conn.execute("select kind, name, alias from aliases")
    if names == {(kind, name): alias for kind, name, alias in stored}:
        return
    conn.execute("delete from aliases")
    conn.executemany(
        "insert into aliases (kind, name, alias) values (?, ?, ?)",
        [(kind, name, alias) for (kind, name), alias in names.items()],
    )
