"""What the comparison uses of the program; the one file that follows renamed modules."""

import io
import re
import runpy
import sqlite3
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from datasette.app import Datasette  # type: ignore[import-untyped]

import ledger
from ledger import data_folder, text
from ledger.queries import YAML_LOADER
from quota.decisions import decide_due

ROOT = Path(ledger.__file__).parents[1]
PARAMETER = re.compile(r":([a-z_]+)\b")
# The command lines of today, by the words that a recording has for them.
COMMANDS: dict[str, tuple[str, ...]] = {
    "report": ("ledger", "report"),
    "status": ("ledger", "status"),
    "check": ("ledger", "check"),
}
# Generous limits: a busy machine must give the same answers.
SETTINGS = {"max_returned_rows": 20_000, "num_sql_threads": 1, "sql_time_limit_ms": 60_000}


def prepare(folder: Path, *, timezone: str) -> sqlite3.Connection:
    """Open the ledger in a folder as every worker does, which converts an older one."""
    return data_folder.prepare(folder, timezone=timezone)


def add_functions(conn: sqlite3.Connection) -> None:
    """Add the functions that canned queries call, as the dashboard does."""
    text.register(conn, lambda: "en")


def decide(conn: sqlite3.Connection, now: int) -> None:
    """Write the verdicts and forecasts of an instant, as the quota worker does."""
    decide_due(conn, now)


def metadata() -> dict[str, Any]:
    """Read the description of the database that Datasette serves."""
    return yaml.load((ROOT / "metadata.yml").read_text("utf-8"), Loader=YAML_LOADER)


def queries() -> dict[str, str]:
    """Return the SQL of each canned query by its name."""
    described = metadata()["databases"]["ledger"]["queries"]
    return {name: query["sql"] for name, query in described.items()}


def parameters(sql: str) -> list[str]:
    """Return the names of the parameters of a statement, in the order of their first use."""
    return list(dict.fromkeys(PARAMETER.findall(sql)))


def site(file: Path) -> Datasette:
    """Return the dashboard's application over a ledger file."""
    plugins = ROOT / "plugins"
    return Datasette(
        [str(file)],
        metadata=metadata(),
        plugins_dir=str(plugins),
        template_dir=str(plugins / "templates"),
        settings=SETTINGS,
    )


def run(command: str, *arguments: str) -> str:
    """Run a command in this process; return what it printed, and its status if not 0."""
    module, *fixed = COMMANDS[command]
    output = io.StringIO()
    status: object = 0
    with (
        patch.object(sys, "argv", [module, *fixed, *arguments]),
        redirect_stdout(output),
        redirect_stderr(output),
        warnings.catch_warnings(),
    ):
        # The module may be imported already, since the plugins use it.
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=False)
        except SystemExit as error:
            status = error.code
    return output.getvalue() + (f"\nstatus: {status}\n" if status else "")
