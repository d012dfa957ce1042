"""`python -m ledger.report RANGE`: what was used, as a table, Markdown, JSON or CSV.

`month 2026-11` is the bill of a month instead.
"""

import argparse
import csv
import json
import sys
from contextlib import closing
from typing import Any

import sqlite_utils

from ledger import connect_read_only, months, settings
from ledger.file import NAME
from ledger.layout import laid_out
from ledger.queries import ask, queries

RANGES = ("today", "1h", "5h", "24h", "7d", "30d", "90d")
SECTIONS = ("summary", "accounts", "models", "clients")
QUERIES = {
    "account": "accounts",
    "model": "models",
    "client": "clients",
    "proxy": "by_proxy",
    "day": "days",
}
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
)
# The original script's JSON: its users' own scripts read these names.
SHAPE = {
    "summary": (*COUNTS, "cached_tokens", "failed"),
    "accounts": ("account", *COUNTS, "failed"),
    "models": ("model", "requests", "total_tokens", "failed"),
    "hours": ("hour", "requests", "total_tokens", "failed"),
}

Rows = list[dict[str, Any]]


def as_original(database: sqlite_utils.Database, window: str) -> dict[str, Any]:
    """Give the summary of a window in the original script's shape."""
    parts = {name: picked(ask(database, name, window=window), SHAPE[name]) for name in SHAPE}
    parts["models"] = parts["models"][:MODELS_SHOWN]
    return {"range": window, **parts, "summary": parts["summary"][0]}


def picked(rows: Rows, names: tuple[str, ...]) -> Rows:
    """Keep the named columns of each row."""
    return [{name: row[name] for name in names} for row in rows]


def asked(database: sqlite_utils.Database, name: str, window: str) -> Rows:
    """Ask a canned query of a window, and keep what is worth reading."""
    rows = ask(database, name, window=window)
    return [{key: row[key] for key in row if key in COLUMNS} for row in rows]


def print_json(database: sqlite_utils.Database, window: str, by: str | None) -> None:
    """Print the original script's JSON, or the rows of one query."""
    found = ask(database, QUERIES[by], window=window) if by else as_original(database, window)
    print(json.dumps(found, ensure_ascii=False, indent=2))


def print_table(database: sqlite_utils.Database, window: str, by: str | None) -> None:
    """Print a readable table for each section, or for one."""
    for name in [QUERIES[by]] if by else SECTIONS:
        rows = asked(database, name, window)
        print(f"\n{queries()[name].title}, {window}")
        print(laid_out(rows, "simple") if rows else "  nothing")


def print_markdown(database: sqlite_utils.Database, window: str, by: str | None) -> None:
    """Print the same as Markdown."""
    for name in [QUERIES[by]] if by else SECTIONS:
        rows = asked(database, name, window)
        print(f"\n### {queries()[name].title}, {window}\n")
        print(laid_out(rows, "github") if rows else "nothing")


def print_csv(database: sqlite_utils.Database, window: str, by: str | None) -> None:
    """Print the accounts, or what was asked for, as CSV."""
    rows = ask(database, QUERIES[by or "account"], window=window)
    if rows:
        writer = csv.DictWriter(sys.stdout, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


FORMATS = {
    "table": print_table,
    "json": print_json,
    "csv": print_csv,
    "markdown": print_markdown,
}


def require_one_kind(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> None:
    """End with a sentence when what is asked of a month is asked of a window, or the other way."""
    if chosen.range == "month" and chosen.by:
        parser.error("a month is shown by client; --by is for windows")
    if chosen.range != "month" and (chosen.month, chosen.price, chosen.share) != (None,) * 3:
        parser.error("a month, --price and --share belong to: month 2026-11")


def main() -> None:
    """Print the report named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m ledger.report", description=__doc__)
    parser.add_argument("range", choices=(*RANGES, "month"))
    parser.add_argument("--by", choices=QUERIES)
    parser.add_argument("--format", choices=FORMATS, default="table")
    months.describe(parser.add_argument_group("of a month"))
    chosen = parser.parse_args()
    require_one_kind(parser, chosen)
    file = settings.read().data_folder / NAME
    if not file.exists():
        raise SystemExit(f"There is no ledger at {file}; `make init` creates one.")
    with closing(connect_read_only(file)) as conn:
        database = sqlite_utils.Database(conn)
        if chosen.range == "month":
            months.report(database, chosen)
        else:
            FORMATS[chosen.format](database, chosen.range, chosen.by)


if __name__ == "__main__":
    main()
