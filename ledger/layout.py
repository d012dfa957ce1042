"""Rows as a table for people: numbers with separators, every other value as it is."""

from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate


def laid_out(rows: Sequence[Mapping[str, Any]], style: str) -> str:
    """Lay rows out in a style of tabulate; `github` is Markdown."""
    texts = [
        number
        for number, name in enumerate(rows[0])
        if any(isinstance(row[name], str) for row in rows)
    ]
    shown = [escaped(row) for row in rows] if style == "github" else rows
    # A client may be called 007, and is no number.
    how = {"headers": "keys", "intfmt": ",", "floatfmt": ",.2f", "disable_numparse": texts}
    return tabulate(shown, tablefmt=style, **how)


def escaped(row: Mapping[str, Any]) -> dict[str, Any]:
    """Keep a text from ending its cell."""
    return {
        name: value.replace("|", r"\|") if isinstance(value, str) else value
        for name, value in row.items()
    }
