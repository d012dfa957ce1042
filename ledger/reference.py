"""The page that describes every table and view, from the schema and `metadata.yml`."""

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ledger.queries import metadata, queries

# A name that follows `from` or `join` in the SQL of this project is always a table or a view.
SOURCE = re.compile(r"\b(?:from|join)\s+(\w+)")
OBJECTS = """
  select name, type, sql
  from sqlite_schema
  where type in ('table', 'view') and name not like 'sqlite%'
"""
COLUMNS = "select name, type from pragma_table_xinfo(?)"
VIEWS, BUILDING_BLOCKS, TABLES = "Views", "Building blocks", "Tables"
SECTIONS = {
    VIEWS: "Ready to query: one row for each thing.",
    BUILDING_BLOCKS: "Views that other views are made of. Datasette hides them; `views.sql` "
    "explains them.",
    TABLES: "The stored data.",
}
INTRODUCTION = """\
# Tables and views

Written by `make docs` from the schema and from `metadata.yml`, which Datasette shows too.

Instants end in `_at` and are milliseconds since 1970, UTC, unless the column says local or UTC \
text. Durations carry their unit. Costs are estimates at list price. Tokens add up: input includes \
cache reads and writes, output includes reasoning, total is input + output + unclassified. Null is \
unknown or none, never 0. A column that a view computes has no declared type.
"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `description` is empty in a hidden view."""

    name: str
    type: str
    description: str


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view, its description, and the canned queries and views that read it."""

    name: str
    section: str
    description: str
    columns: list[Column]
    used_by_queries: list[str]
    used_by_views: list[str]


def page(conn: sqlite3.Connection) -> str:
    """Return the whole page as Markdown."""
    all_relations = relations(conn)
    parts = [INTRODUCTION]
    for title, description in SECTIONS.items():
        listed = [relation for relation in all_relations if relation.section == title]
        links = ", ".join(f"[{relation.name}](#{relation.name})" for relation in listed)
        parts += [f"## {title}\n\n{description}\n\n{links}\n", *map(entry, listed)]
    return "\n".join(parts)


def relations(conn: sqlite3.Connection) -> list[Relation]:
    """Return every table and view of an open ledger, in the order of `metadata.yml`."""
    descriptions = metadata()["tables"]
    objects = {name: (kind, sql) for name, kind, sql in conn.execute(OBJECTS)}
    if missing := sorted(objects.keys() - descriptions.keys()):
        raise SystemExit(f"metadata.yml does not describe {', '.join(missing)}.")
    query_sql = {name: query.sql for name, query in queries().items()}
    view_sql = {name: sql for name, (kind, sql) in objects.items() if kind == "view"}
    return [
        Relation(
            name,
            section(objects[name][0], about),
            " ".join(about.get("description", "").split()),
            columns(conn, name, about.get("columns", {})),
            readers(name, query_sql),
            readers(name, view_sql),
        )
        for name, about in descriptions.items()
        if name in objects
    ]


def section(kind: str, about: dict[str, Any]) -> str:
    """Return the section of a table or view."""
    if kind == "table":
        return TABLES
    return BUILDING_BLOCKS if about.get("hidden") else VIEWS


def columns(conn: sqlite3.Connection, name: str, descriptions: dict[str, str]) -> list[Column]:
    """Return the columns of a table or view, in their order."""
    return [
        Column(column, kind.lower(), descriptions.get(column, ""))
        for column, kind in conn.execute(COLUMNS, (name,))
    ]


def readers(name: str, statements: dict[str, str]) -> list[str]:
    """Return the names of the statements that read a table or view directly."""
    return [reader for reader, sql in statements.items() if name in SOURCE.findall(sql)]


def entry(relation: Relation) -> str:
    """Return the entry of a table or view on the page."""
    described = [relation.description, ""] if relation.description else []
    return "\n".join(
        [f"### {relation.name}", "", *described, *uses(relation), *column_lines(relation), ""]
    )


def uses(relation: Relation) -> Iterator[str]:
    """Return the lines that name the readers of a table or view."""
    if relation.used_by_queries:
        yield "Queries: " + ", ".join(f"`/ledger/{name}`" for name in relation.used_by_queries)
        yield ""
    if relation.used_by_views:
        yield "Views: " + ", ".join(f"[{name}](#{name})" for name in relation.used_by_views)
        yield ""


def column_lines(relation: Relation) -> list[str]:
    """Return a table of described columns, or one line with the names of the others."""
    if relation.section == BUILDING_BLOCKS:
        return ["Columns: " + ", ".join(f"`{column.name}`" for column in relation.columns)]
    return [
        "| column | type | meaning |",
        "| --- | --- | --- |",
        *(
            f"| `{column.name}` | {column.type} | {column.description} |"
            for column in relation.columns
        ),
    ]
