"""The user's own names for accounts and client keys, as a small table that views look into."""

import sqlite3
from pathlib import Path
from typing import NamedTuple

from ledger.keys import Salt, load_salt

LONGEST = 60
RULE = f"give names of 1 to {LONGEST} printable characters, each to a label or a key"

Row = tuple[str, str, str]


class Aliases(NamedTuple):
    """Names by the labels that they take the place of; a client may be named by its whole key."""

    accounts: dict[str, str]
    clients: dict[str, str]


def are_names(given: dict[str, str]) -> bool:
    """Tell whether a mapping names something, and each by what can be shown in a line."""
    return all(label.strip() and is_name(alias) for label, alias in given.items())


def is_name(text: str) -> bool:
    """Tell whether a text can stand in place of a label."""
    return 0 < len(text) <= LONGEST and text.isprintable() and text == text.strip()


def rows(aliases: Aliases, folder: Path) -> list[Row]:
    """Give the table's rows: each key as its hash with the salt of the data folder."""
    found = [("account", label, alias) for label, alias in aliases.accounts.items()]
    if aliases.clients:
        salt = load_salt(folder)
        found += [("client", client(text, salt), name) for text, name in aliases.clients.items()]
    return found


def client(text: str, salt: Salt) -> str:
    """Give what the table has of a client: its label as it is, its key as a hash."""
    if text.startswith(("…", "...")):
        return f"…{text.removeprefix('...').removeprefix('…')}"
    return salt.key(text).hash.hex().upper()


def keep(conn: sqlite3.Connection, wanted: list[Row]) -> None:
    """Rewrite the table when it differs, inside the caller's transaction."""
    # The last one wins where two ways to write a label are one.
    names = {(kind, name): alias for kind, name, alias in wanted}
    if names == {row[:2]: row[2] for row in conn.execute("select kind, name, alias from aliases")}:
        return
    conn.execute("delete from aliases")
    conn.executemany(
        "insert into aliases (kind, name, alias) values (?, ?, ?)",
        [(*at, alias) for at, alias in names.items()],
    )
