"""Names of accounts and people made unreadable, for screenshots that others may see."""

import re
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

ADDRESS = re.compile(r"[^\s@<>()\",;:]+@[^\s@<>()\",;:]+")
# Columns that hold a name, and columns of text that may contain one.
NAME_COLUMNS = frozenset({"account", "client", "name"})
TEXT_COLUMNS = frozenset(
    {"subject", "sentence", "budget", "named", "detail", "message", "error_text", "advice"}
)
# A key's label identifies no person; the user's own name for a client may.
NAMES = """
  select account from named_accounts
  union
  select client from named_clients where client not like '…%' and client <> '(none)'
"""

Section = dict[str, Any]


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
        return (
            self._words.sub(lambda match: self.by_name[match[0]], text)
            if column in TEXT_COLUMNS
            else text
        )

    def section(self, section: Section | None) -> Section | None:
        """Return a masked section. A link with a mask in it would find nothing: it gets none."""
        if section is None:
            return None
        rows = [list(map(self.cell, section["columns"], row)) for row in section["rows"]]
        parameters: Mapping[str, str] = section["parameters"]
        is_named = "account" in parameters or parameters.get("client") in self.by_name
        return {**section, "parameters": None if is_named else parameters, "rows": rows}

    def name(self, mask: str) -> str:
        """Return the name behind a mask; any other text is returned as it is."""
        return self.by_mask.get(mask, mask)


def names(conn: sqlite3.Connection) -> list[str]:
    """Return every name that a screenshot must not show."""
    return [name for (name,) in conn.execute(NAMES)]
