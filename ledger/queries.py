"""The canned queries of `metadata.yml`, for programs that run them without Datasette."""

import re
import sqlite3
from contextlib import closing
from functools import cache
from typing import Any, NamedTuple

import sqlite_utils
import yaml

from ledger.database import split_statements
from ledger.settings import ROOT

PARAMETER = re.compile(r":([a-z_]+)\b")
# The parser of libyaml takes a tenth of the time; not every platform has it.
YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# What the view `windows` reads, and the statements that create it.
DAYS = "create table local_days (starts_at, ends_at)"
CREATED = re.compile(r"create view (clock|windows) as")


class Query(NamedTuple):
    """A canned query."""

    title: str
    sql: str

    @property
    def parameters(self) -> list[str]:
        """The names of its parameters, in the order of their first use."""
        return list(dict.fromkeys(PARAMETER.findall(self.sql)))


@cache
def metadata() -> dict[str, Any]:
    """Return what `metadata.yml` says of the database: queries, tables, descriptions."""
    content = yaml.load((ROOT / "metadata.yml").read_text("utf-8"), Loader=YAML_LOADER)
    return content["databases"]["ledger"]


@cache
def queries() -> dict[str, Query]:
    """Return every canned query by its name."""
    entries = metadata()["queries"]
    return {name: Query(query["title"], query["sql"]) for name, query in entries.items()}


def database_of(conn: sqlite3.Connection) -> sqlite_utils.Database:
    """Return an open connection as a database of sqlite-utils, with its statements kept.

    By default sqlite-utils sets a pragma, which expires every prepared statement of the
    connection; the usage queries take longer to prepare than to run.
    """
    return sqlite_utils.Database(conn, recursive_triggers=False)


def ask(database: sqlite_utils.Database, name: str, **parameters: str) -> list[dict[str, Any]]:
    """Run a canned query; missing parameters are empty, as in Datasette.

    A query with `sentence` or `short_text` needs a connection with `text.register`.
    """
    query = queries()[name]
    return list(database.query(query.sql, {**dict.fromkeys(query.parameters, ""), **parameters}))


class Window(NamedTuple):
    """A named window: the default step of its series, that of the page's charts, the default."""

    step: str
    chart_step: str
    is_default: bool

    @property
    def coarse_step(self) -> str:
        """The step of charts that cost much or show little: days where series have days."""
        return "day" if self.step == "day" else self.chart_step


@cache
def windows() -> dict[str, Window]:
    """Return the windows by their names, which only the view `windows` defines; today is first."""
    with closing(sqlite3.connect(":memory:")) as conn:
        conn.execute(DAYS)
        conn.execute("insert into local_days values (0, 9e18)")
        for statement in split_statements((ROOT / "views.sql").read_text("utf-8")):
            if CREATED.search(statement):
                conn.execute(statement)
        rows = conn.execute("select window, step, chart_step, is_default from windows").fetchall()
    return {name: Window(step, chart, bool(default)) for name, step, chart, default in rows}


def window_names(database: sqlite_utils.Database) -> list[str]:
    """Return the names of the windows, which only the view `windows` defines."""
    return [row["window"] for row in database.query("select window from windows")]
