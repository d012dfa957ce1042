"""The numbered steps that build the ledger's tables, and the views over them."""

import hashlib
import sqlite3
from importlib.resources import files
from pathlib import Path

from ledger.errors import NewerLedger
from ledger.statements import statements
from ledger.writing import transaction

VIEWS = Path(__file__).parents[2] / "views.sql"


def steps() -> list[tuple[int, str]]:
    """Give every step as (number, SQL), in order."""
    found = sorted(
        (entry.name, entry) for entry in files(__package__).iterdir() if entry.name.endswith(".sql")
    )
    return [(int(name.split("_")[0]), entry.read_text("utf-8")) for name, entry in found]


def version(conn: sqlite3.Connection) -> int:
    """Tell the number of the last step that was applied; 0 for an empty file."""
    return conn.execute("pragma user_version").fetchone()[0]


def migrate(conn: sqlite3.Connection, path: Path) -> None:
    """Apply the missing steps, each in one transaction, then rebuild the views if they changed.

    A file that already holds data is copied beside itself first.
    Raises `NewerLedger` when the file knows more steps than this program.
    """
    all_steps = steps()
    newest, current = all_steps[-1][0], version(conn)
    if current > newest:
        raise NewerLedger(
            f"The ledger has schema version {current}, this program knows {newest}: "
            "it was written by a newer cliproxy-ledger. "
            "Upgrade the program, or use another data folder."
        )
    if 0 < current < newest:
        copy(conn, path.with_name(f"ledger-before-{newest:04d}.db"))
    for number, script in all_steps:
        if number > current:
            apply(conn, number, script)
    keep_views(conn, VIEWS.read_text("utf-8"))


def copy(conn: sqlite3.Connection, target: Path) -> None:
    """Copy the open database to `target`, readable by its owner alone."""
    target.touch(mode=0o600)
    target.chmod(0o600)
    with sqlite3.connect(target) as copied:
        conn.backup(copied)
    copied.close()


def apply(conn: sqlite3.Connection, number: int, script: str) -> None:
    """Run one step with its record in one transaction, unless another process was faster."""
    with transaction(conn):
        if version(conn) < number:
            run(conn, script)
            conn.execute(f"pragma user_version = {number}")


def keep_views(conn: sqlite3.Connection, script: str) -> None:
    """Drop every view and create those of `script`, unless they already are the ones in place."""
    digest = hashlib.sha256(script.encode()).hexdigest()
    row = conn.execute("select value from settings where name = 'views'").fetchone()
    if row == (digest,):
        return
    with transaction(conn):
        views = conn.execute("select name from sqlite_schema where type = 'view'").fetchall()
        for (name,) in views:
            conn.execute(f'drop view "{name}"')
        run(conn, script)
        conn.execute("insert or replace into settings (name, value) values ('views', ?)", (digest,))


def run(conn: sqlite3.Connection, script: str) -> None:
    """Run a script's statements inside the transaction that is open."""
    for statement in statements(script):
        conn.execute(statement)
