"""The canned queries of `metadata.yml`, for programs that run them without Datasette."""

import re
from functools import cache
from typing import Any, NamedTuple

import sqlite_utils
import yaml

from ledger.settings import ROOT

PARAMETER = re.compile(r":([a-z_]+)\b")


class Query(NamedTuple):
    """A canned query."""

    title: str
    sql: str

    @property
    def parameters(self) -> list[str]:
        """The names of its parameters, in the order of their first use."""
        return list(dict.fromkeys(PARAMETER.findall(self.sql)))


@cache
def queries() -> dict[str, Query]:
    """Return every canned query by its name."""
    metadata = yaml.safe_load((ROOT / "metadata.yml").read_text("utf-8"))
    entries = metadata["databases"]["ledger"]["queries"]
    return {name: Query(query["title"], query["sql"]) for name, query in entries.items()}


def ask(database: sqlite_utils.Database, name: str, **parameters: str) -> list[dict[str, Any]]:
    """Run a canned query; missing parameters are empty, as in Datasette."""
    query = queries()[name]
    return list(database.query(query.sql, {**dict.fromkeys(query.parameters, ""), **parameters}))


def window_names(database: sqlite_utils.Database) -> list[str]:
    """Return the names of the windows, which only the view `windows` defines."""
    return [row["window"] for row in database.query("select window from windows")]
