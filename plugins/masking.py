"""Names of accounts and people made unreadable, for screenshots that others may see."""

import re
import sqlite3
from collections.abc import Iterable
from typing import Any

ADDRESS = re.compile(r"[^\s@<>()\",;:]+@[^\s@<>()\",;:]+")
# Columns that hold a name, and columns of text that may contain one.
NAME_COLUMNS = frozenset({"account", "client", "name"})
TEXT_COLUMNS = frozenset(
    {
        *("subject", "sentence", "short", "parameters", "budget", "named"),
        *("detail", "message", "error_text", "advice"),
    }
)
# A key's label identifies no person; the user's own name for a client may.
PRIVATE_NAMES = """
  select account from named_accounts
  union
  select client from named_clients where client not like '…%' and client <> '(none)'
"""


def masked(name: str, number: int) -> str:
    """Return the mask of a name: its first letters and a number that tells accounts apart."""
    local, at, domain = name.partition("@")
    return f"{local[:1]}•••{at}{domain[:1]}{'•••' if domain else ''} {number}"


class Mask:
    """The mask of each name; the same names give the same masks."""

    def __init__(self, names: Iterable[str]) -> None:
        self.by_name = {name: masked(name, n) for n, name in enumerate(sorted(set(names)), 1)}
        self.by_mask = {mask: name for name, mask in self.by_name.items()}
        words = (re.escape(name) for name in sorted(self.by_name, reverse=True) if "@" not in name)
        # The longest name comes first; a part of a longer word is no name.
        self._words = re.compile(rf"(?<!\w)(?:{'|'.join(words) or '(?!)'})(?!\w)")

    def cell(self, column: str, value: Any) -> Any:
        """Return a cell with the names in it masked; other values are returned as they are."""
        if not isinstance(value, str):
            return value
        if column in NAME_COLUMNS and value in self.by_name:
            return self.by_name[value]
        text = ADDRESS.sub(lambda match: self.by_name.get(match[0], "•••@•••"), value)
        if column in TEXT_COLUMNS:
            text = self._words.sub(lambda match: self.by_name[match[0]], text)
        return text

    def name(self, mask: str) -> str:
        """Return the name behind a mask; any other text is returned as it is."""
        return self.by_mask.get(mask, mask)


def private_names(conn: sqlite3.Connection) -> list[str]:
    """Return every name that a screenshot must not show."""
    return [name for (name,) in conn.execute(PRIVATE_NAMES)]
