"""Reports as a table, Markdown, JSON or CSV: the use of a window, and the bill of a month."""

import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlite_utils
from tabulate import tabulate

from ledger.money import Currency
from ledger.queries import ask, queries, window_names
from ledger.settings import read_live

SECTIONS = ("summary", "accounts", "models", "clients")
QUERIES = {
    "account": "accounts",
    "model": "models",
    "client": "clients",
    "proxy": "by_proxy",
    "day": "days",
}
REMEDY = (
    "`/ledger/unpriced` has the reasons; after a change of prices, run: "
    ".venv/bin/python -m ledger reprice"
)
SHARES = ("cost", "tokens")
MODELS_SHOWN = 12
COUNTS = ("requests", "total_tokens", "input_tokens", "output_tokens", "reasoning_tokens")
COLUMNS = (
    "window",
    "account",
    "provider",
    "model",
    "client",
    "proxy",
    "day",
    "requests",
    "failed",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "reasoning_tokens",
    "total_tokens",
    "cost_dollars",
    "unpriced",
    "saved_dollars",
)
BILL_COLUMNS = (
    "client",
    "requests",
    "failed",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "reasoning_tokens",
    "total_tokens",
    "cost_dollars",
    "unpriced",
    "saved_dollars",
    "share_percent",
    "share_dollars",
)
# The JSON of the original script, whose users' own scripts read these names.
ORIGINAL_FIELDS = {
    "summary": (*COUNTS, "cached_tokens", "failed"),
    "accounts": ("account", *COUNTS, "failed"),
    "models": ("model", "requests", "total_tokens", "failed"),
    "hours": ("hour", "requests", "total_tokens", "failed"),
}
NOTE = """
  select month, note
  from month_notes
  where month = coalesce(nullif(:month, ''), (
    select month from months cross join clock where starts_at <= now and now < ends_at
  ))
"""

# What people read in place of the dollars of a row.
SHOWN_AS = {
    "cost_dollars": "cost",
    "saved_dollars": "cache_saved",
    "share_dollars": "share",
}

Row = dict[str, Any]
Rows = list[Row]


def original_summary(database: sqlite_utils.Database, window: str) -> Row:
    """Return the summary of a window in the original script's JSON."""
    parts = {
        name: pick_columns(ask(database, name, window=window), columns)
        for name, columns in ORIGINAL_FIELDS.items()
    }
    parts["models"] = parts["models"][:MODELS_SHOWN]
    return {"range": window, **parts, "summary": parts["summary"][0]}


def pick_columns(rows: Rows, columns: Sequence[str]) -> Rows:
    """Return the named columns of each row."""
    return [{name: row[name] for name in columns} for row in rows]


def print_report(
    database: sqlite_utils.Database, window: str, *, by: str | None, style: str
) -> None:
    """Print the use of a window, in total and by account, model and client, or `by` one of them.

    Raises `SystemExit` with a sentence when there is no such window.
    """
    names = window_names(database)
    if window not in names:
        raise SystemExit(f"{window} is not a window; there are {', '.join(names)}.")
    STYLES[style](database, window, by)


def print_json(database: sqlite_utils.Database, window: str, by: str | None) -> None:
    """Print the original script's JSON, or the rows of one query."""
    content = (
        ask(database, QUERIES[by], window=window) if by else original_summary(database, window)
    )
    print_as_json(content)


def print_table(database: sqlite_utils.Database, window: str, by: str | None) -> None:
    """Print a readable table for each section, or for one query."""
    sections = ask_sections(database, window, by)
    for name, rows in sections.items():
        print(f"\n{queries()[name].title}, {window}")
        print(format_table(rows, "simple") if rows else "  nothing")
    print_missing(next(iter(sections.values())))


def print_markdown(database: sqlite_utils.Database, window: str, by: str | None) -> None:
    """Print a Markdown table for each section, or for one query."""
    sections = ask_sections(database, window, by)
    for name, rows in sections.items():
        print(f"\n### {queries()[name].title}, {window}\n")
        print(format_table(rows, "github") if rows else "nothing")
    print_missing(next(iter(sections.values())))


def print_missing(rows: Rows) -> None:
    """Print the sum of a table's costs with what it lacks, and what to do about that."""
    if unpriced := sum(row["unpriced"] or 0 for row in rows):
        total = read_live().money.total(sum(row["cost_dollars"] or 0 for row in rows), unpriced)
        print(f"\n{total}: {REMEDY}")


def print_csv(database: sqlite_utils.Database, window: str, by: str | None) -> None:
    """Print the rows of one query as CSV, by default the accounts."""
    print_as_csv(ask(database, QUERIES[by or "account"], window=window))


def ask_sections(database: sqlite_utils.Database, window: str, by: str | None) -> dict[str, Rows]:
    """Return the rows of each section, or of one query, with the columns that a report shows."""
    names = [QUERIES[by]] if by else SECTIONS
    return {name: ask_columns(database, name, window) for name in names}


def ask_columns(database: sqlite_utils.Database, name: str, window: str) -> Rows:
    """Run a canned query for a window; returns the columns that a report shows."""
    rows = ask(database, name, window=window)
    return [{key: row[key] for key in COLUMNS if key in row} for row in rows]


STYLES: dict[str, Callable[[sqlite_utils.Database, str, str | None], None]] = {
    "table": print_table,
    "json": print_json,
    "csv": print_csv,
    "markdown": print_markdown,
}


def print_bill(
    database: sqlite_utils.Database, month: str, *, dollars: float, share: str, style: str
) -> None:
    """Print what each client used in a month, and its share of a price in dollars.

    The month is YYYY-MM, or empty for the current one. Raises `SystemExit` with a sentence when
    the ledger has no such month.
    """
    note = next(iter(database.query(NOTE, {"month": month})), None)
    if note is None:
        raise SystemExit(f"{month or 'Now'} is outside the months that the ledger knows.")
    rows = ask(database, "month_report", month=note["month"], price=str(dollars), by=share)
    shared = f"{read_live().money.amount(dollars)} shared" if dollars else "shares"
    title = f"Month {note['month']}, {shared} by {share}"
    if style == "json":
        print_as_json(rows)
    elif style == "csv":
        print_as_csv(rows)
    elif style == "markdown":
        print(f"\n### {title}\n\n{bill_table(rows, 'github')}")
    else:
        print(f"\n{title}\n{bill_table(rows, 'simple')}")
    if style in ("table", "markdown"):
        print_missing(rows)
    if note["note"] and style in ("table", "markdown"):
        print(f"\n{note['note'][0].upper()}{note['note'][1:]}.")


def bill_table(rows: Rows, table_format: str) -> str:
    """Return the rows of a bill with their sums below, without columns that are all null."""
    if not rows:
        return "nothing"
    columns = [name for name in BILL_COLUMNS if any(row[name] is not None for row in rows)]
    total = {name: sum(row[name] or 0 for row in rows) for name in columns[1:]}
    return format_table([*pick_columns(rows, columns), {"client": "total", **total}], table_format)


def print_as_json(content: Row | Rows) -> None:
    """Print a mapping or rows as JSON."""
    print(json.dumps(content, ensure_ascii=False, indent=2))


def print_as_csv(rows: Rows) -> None:
    """Print rows as CSV, and nothing when there are none."""
    if rows:
        writer = csv.DictWriter(sys.stdout, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def format_table(rows: Sequence[Mapping[str, Any]], table_format: str) -> str:
    """Return rows as a table in a format of tabulate, numbers with separators."""
    rows = [with_money(row, read_live().money) for row in rows]
    text_columns = [
        number
        for number, name in enumerate(rows[0])
        if any(isinstance(row[name], str) for row in rows)
    ]
    is_left = [number in text_columns for number in range(len(rows[0]))]
    money = [name in SHOWN_AS.values() for name in rows[0]]
    return tabulate(
        [escape_pipes(row) for row in rows] if table_format == "github" else rows,
        tablefmt=table_format,
        headers="keys",
        intfmt=",",
        floatfmt=",.2f",
        # A client may be called 007, which is not a number.
        disable_numparse=text_columns,
        colalign=[
            "left" if is_text and not is_money else "right"
            for is_text, is_money in zip(is_left, money, strict=True)
        ],
    )


def with_money(row: Mapping[str, Any], currency: Currency) -> Row:
    """Return a row whose dollars are text in a currency, a cost with the mark of a lower bound."""
    shown: Row = {}
    for name, value in row.items():
        if name not in SHOWN_AS:
            shown[name] = value
        elif name == "cost_dollars":
            shown[SHOWN_AS[name]] = currency.at_least(value, row.get("unpriced"))
        else:
            shown[SHOWN_AS[name]] = currency.amount(value)
    return shown


def escape_pipes(row: Mapping[str, Any]) -> Row:
    """Return a row whose texts cannot end a cell of a Markdown table."""
    return {
        name: value.replace("|", r"\|") if isinstance(value, str) else value
        for name, value in row.items()
    }
