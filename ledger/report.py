"""`python -m ledger.report RANGE`: what was used, as a table, JSON or CSV."""

import argparse
import csv
import json
import sys
from typing import Any

import sqlite_utils
from tabulate import tabulate

from ledger import config, connect_read_only
from ledger.file import NAME
from ledger.queries import ask, queries

RANGES = ("today", "1h", "5h", "24h", "7d", "30d", "90d")
SECTIONS = ("summary", "accounts", "models", "clients")
MODELS_SHOWN = 12
COUNTS = ("requests", "total_tokens", "input_tokens", "output_tokens", "reasoning_tokens")
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


def print_json(database: sqlite_utils.Database, window: str) -> None:
    """Print the original script's JSON."""
    print(json.dumps(as_original(database, window), ensure_ascii=False, indent=2))


def print_table(database: sqlite_utils.Database, window: str) -> None:
    """Print a readable table for each section."""
    for name in SECTIONS:
        rows = ask(database, name, window=window)
        print(f"\n{queries()[name].title}, {window}")
        print(tabulate(rows, headers="keys", intfmt=",") if rows else "  nothing")


def print_csv(database: sqlite_utils.Database, window: str) -> None:
    """Print the accounts as CSV."""
    rows = ask(database, "accounts", window=window)
    if rows:
        writer = csv.DictWriter(sys.stdout, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


FORMATS = {"table": print_table, "json": print_json, "csv": print_csv}


def main() -> None:
    """Print the report named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m ledger.report", description=__doc__)
    parser.add_argument("range", choices=RANGES)
    parser.add_argument("--format", choices=FORMATS, default="table")
    chosen = parser.parse_args()
    file = config.data_dir() / NAME
    if not file.exists():
        raise SystemExit(f"There is no ledger at {file}; `make init` creates one.")
    conn = connect_read_only(file)
    FORMATS[chosen.format](sqlite_utils.Database(conn), chosen.range)
    conn.close()


if __name__ == "__main__":
    main()
