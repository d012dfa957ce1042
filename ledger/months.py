"""The bill of a month: what each client used, and its share of a subscription's price."""

import argparse
import csv
import json
import re
import sys
from collections.abc import Callable
from typing import Any

import sqlite_utils

from ledger import settings
from ledger.layout import laid_out
from ledger.queries import ask

MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
SHARES = ("cost", "tokens")
COLUMNS = (
    "client",
    "requests",
    "failed",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "reasoning_tokens",
    "total_tokens",
    "unpriced",
    "cost_dollars",
    "share_percent",
    "share_dollars",
)
NOTE = """
  select month, note
  from month_notes
  where month = coalesce(nullif(:month, ''), (
    select month from months cross join clock where starts_at <= now and now < ends_at
  ))
"""

Rows = list[dict[str, Any]]


def month(text: str) -> str:
    """Take a month as it is written: YYYY-MM."""
    if MONTH.fullmatch(text):
        return text
    raise argparse.ArgumentTypeError(f"{text} is no month: write it as 2026-11")


def price(text: str) -> float:
    """Take a price in dollars."""
    try:
        dollars = float(text)
    except ValueError:
        dollars = -1.0
    if 0 <= dollars <= 1e9:
        return dollars
    raise argparse.ArgumentTypeError(f"{text} is no price: write dollars, as 200 or 19.99")


def describe(parser: argparse._ArgumentGroup) -> None:
    """Add what the report of a month takes."""
    parser.add_argument("month", nargs="?", type=month, help="YYYY-MM; the running one if none")
    parser.add_argument("--price", type=price, metavar="DOLLARS", help="what is to be shared")
    parser.add_argument("--share", choices=SHARES, help="what is counted for it (cost)")


def report(database: sqlite_utils.Database, chosen: argparse.Namespace) -> None:
    """Print the bill of a month.

    Raises `SystemExit` with a sentence when the ledger knows no such month.
    """
    known = next(iter(database.query(NOTE, {"month": chosen.month or ""})), None)
    if known is None:
        raise SystemExit(f"{chosen.month or 'Now'} is outside the months that the ledger knows.")
    dollars = settings.read().subscription_price if chosen.price is None else chosen.price
    share = chosen.share or SHARES[0]
    rows = ask(database, "month_report", month=known["month"], price=str(dollars), by=share)
    shared = f"${dollars:,.2f} shared" if dollars else "shares"
    FORMATS[chosen.format](rows, f"Month {known['month']}, {shared} by {share}", known["note"])


def print_table(rows: Rows, title: str, note: str | None) -> None:
    """Print the bill as a readable table."""
    print(f"\n{title}")
    print(table(rows, "simple"))
    if note:
        print(f"\n{sentence(note)}")


def print_markdown(rows: Rows, title: str, note: str | None) -> None:
    """Print the bill as Markdown."""
    print(f"\n### {title}\n\n{table(rows, 'github')}")
    if note:
        print(f"\n{sentence(note)}")


def print_csv(rows: Rows, title: str, note: str | None) -> None:
    """Print the rows of the canned query as CSV."""
    if rows:
        writer = csv.DictWriter(sys.stdout, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def print_json(rows: Rows, title: str, note: str | None) -> None:
    """Print the rows of the canned query as JSON."""
    print(json.dumps(rows, ensure_ascii=False, indent=2))


def table(rows: Rows, style: str) -> str:
    """Lay the rows out, with their sums below; a share of nothing is left out."""
    if not rows:
        return "nothing"
    shown = [name for name in COLUMNS if any(row[name] is not None for row in rows)]
    picked = [{name: row[name] for name in shown} for row in rows]
    picked.append({"client": "total"} | {name: summed(rows, name) for name in shown[1:]})
    return laid_out(picked, style)


def summed(rows: Rows, name: str) -> int | float:
    """Add a column up."""
    return sum(row[name] or 0 for row in rows)


def sentence(note: str) -> str:
    """Make a note a sentence."""
    return f"{note[0].upper()}{note[1:]}."


FORMATS: dict[str, Callable[[Rows, str, str | None], None]] = {
    "table": print_table,
    "json": print_json,
    "csv": print_csv,
    "markdown": print_markdown,
}
