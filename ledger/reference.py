"""The page that describes every table and view, from the schema and `metadata.yml`."""

import re
import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from ledger.config import ROOT
from ledger.queries import queries

# Tables and views stand nowhere else in a statement.
READ = re.compile(r"\b(?:from|join)\s+(\w+)")
OBJECTS = """
  select name, type, sql
  from sqlite_schema
  where type in ('table', 'view') and name not like 'sqlite%'
"""
COLUMNS = "select name, type from pragma_table_xinfo(?)"
SECTIONS = {
    "Views": "To ask: one row for each thing, ready to read.",
    "Pieces": "Views to build with: rows that are not yet added up. Name a span and, where there "
    "is one, `is_series`; without them a query goes through every range of days there could be. "
    "Datasette hides them.",
    "Tables": "What the views are made of.",
}
INTRODUCTION = """\
# Tables and views

Written by `make docs` from the schema and from `metadata.yml`, which Datasette shows too.

Instants end in `_at` and are milliseconds since 1970, UTC, unless the column says local or UTC \
text. Durations carry their unit. Costs are estimates at list price. Tokens add up: input includes \
cache reads and writes, output includes reasoning, total is input + output + unclassified. Null is \
unknown or none, never 0. A column that a view works out has no declared type.
"""


class Thing(NamedTuple):
    """A table or a view, with what is said of it."""

    name: str
    section: str
    description: str
    columns: list[tuple[str, str, str]]
    asked_by: list[str]
    read_by: list[str]


def things(conn: sqlite3.Connection) -> list[Thing]:
    """Give every table and view of an open ledger, in the order of `metadata.yml`."""
    metadata = yaml.safe_load((ROOT / "metadata.yml").read_text("utf-8"))
    described = metadata["databases"]["ledger"]["tables"]
    rows = {name: (kind, sql) for name, kind, sql in conn.execute(OBJECTS)}
    views = {name: sql for name, (kind, sql) in rows.items() if kind == "view"}
    asked = {name: query.sql for name, query in queries().items()}
    order = [name for name in described if name in rows]
    if missing := sorted(set(rows) - set(order)):
        raise SystemExit(f"metadata.yml does not describe {', '.join(missing)}.")
    return [
        Thing(
            name,
            section(rows[name][0], described[name]),
            " ".join(described[name]["description"].split()),
            columns(conn, name, described[name]["columns"]),
            readers(name, asked),
            readers(name, views),
        )
        for name in order
    ]


def section(kind: str, about: dict[str, Any]) -> str:
    """Tell where on the page a table or view stands."""
    if kind == "table":
        return "Tables"
    return "Pieces" if about.get("hidden") else "Views"


def columns(
    conn: sqlite3.Connection, name: str, described: dict[str, str]
) -> list[tuple[str, str, str]]:
    """Give (column, type, description) of each column."""
    rows = conn.execute(COLUMNS, (name,))
    return [(column, kind.lower(), described[column]) for column, kind in rows]


def readers(name: str, statements: dict[str, str]) -> list[str]:
    """Give the names of the statements that read a table or view themselves."""
    return [reader for reader, sql in statements.items() if name in READ.findall(sql)]


def page(conn: sqlite3.Connection) -> str:
    """Give the whole page, as Markdown."""
    found = things(conn)
    parts = [INTRODUCTION]
    for title, about in SECTIONS.items():
        inside = [thing for thing in found if thing.section == title]
        links = ", ".join(f"[{thing.name}](#{thing.name})" for thing in inside)
        parts += [f"## {title}\n\n{about}\n\n{links}\n", *map(entry, inside)]
    return "\n".join(parts)


def entry(thing: Thing) -> str:
    """Give one table's or view's part of the page."""
    return "\n".join(
        [
            f"### {thing.name}",
            "",
            thing.description,
            "",
            *used(thing),
            "| column | type | meaning |",
            "| --- | --- | --- |",
            *(f"| `{column}` | {kind} | {meaning} |" for column, kind, meaning in thing.columns),
            "",
        ]
    )


def used(thing: Thing) -> Iterator[str]:
    """Give the lines that say who reads a table or view."""
    if thing.asked_by:
        yield "Queries: " + ", ".join(f"`/ledger/{name}`" for name in thing.asked_by) + "."
        yield ""
    if thing.read_by:
        yield "Views: " + ", ".join(f"[{name}](#{name})" for name in thing.read_by) + "."
        yield ""
