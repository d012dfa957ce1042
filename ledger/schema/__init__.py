"""The numbered steps that build the ledger's tables, and the views over them."""

import hashlib
import re
import sqlite3
from contextlib import closing
from importlib.resources import files
from pathlib import Path

from ledger.database import (
    SchemaMismatch,
    Unwritable,
    split_statements,
    transaction,
    translate_errors,
)
from ledger.locks import waiting_lock

VIEWS = Path(__file__).parents[2] / "views.sql"
MAX_COPIES = 2
# The last version before all earlier steps became one; the only old version that is converted.
CONVERTIBLE_VERSION = 9
NEW_TABLES = (
    *("slice_resolutions", "failure_rollup", "last_failures"),
    *("quota_refusals", "quota_verdicts", "quota_verdict_changes", "quota_forecasts"),
    *(
        "quota_undecided",
        "quota_accounts",
        "price_rules",
        "account_pins",
        "account_changes",
        "quota_cycle_sums",
        "quota_pool_forecasts",
    ),
)


def steps() -> list[tuple[int, str]]:
    """Return every step as (number, SQL), in order; the first one builds everything."""
    scripts = sorted(
        (entry.name, entry)
        for entry in files(__package__).iterdir()
        if entry.name.endswith(".sql") and entry.name[0].isdigit()
    )
    return [(int(name.split("_")[0]), entry.read_text("utf-8")) for name, entry in scripts]


def missing_steps(current: int) -> list[tuple[int, str]]:
    """Return the steps from a schema version to the newest one; 0 is an empty file.

    Raises `SchemaMismatch` with a sentence when there is no way.
    """
    (first, first_script), *later = steps()
    newest = later[-1][0] if later else first
    if current > newest:
        raise SchemaMismatch(
            f"The ledger has schema version {current}, this program knows {newest}: "
            "it was written by a newer cliproxy-ledger. "
            "Upgrade the program, or use another data folder."
        )
    if current == 0:
        return [(first, first_script), *later]
    if current == CONVERTIBLE_VERSION:
        return [(first, conversion(first_script)), *later]
    if current < first:
        raise SchemaMismatch(
            f"The ledger has schema version {current}, and this program converts only version "
            f"{CONVERTIBLE_VERSION}. Start a version of cliproxy-ledger with schema version "
            f"{CONVERTIBLE_VERSION} on it first (`make init`), then this one."
        )
    return [(number, script) for number, script in later if number > current]


def conversion(first_script: str) -> str:
    """Return the script that makes a ledger of version 9 one of the first step."""
    rename, fill = (
        files(__package__).joinpath(f"from_{CONVERTIBLE_VERSION:04d}_{part}.sql").read_text("utf-8")
        for part in ("rename", "fill")
    )
    new = [
        statement
        for statement in split_statements(first_script)
        if re.search(
            rf"(create table|insert into|index \w+ on) ({'|'.join(NEW_TABLES)})\b", statement
        )
    ]
    return "\n".join([rename, *new, fill])


def version(conn: sqlite3.Connection) -> int:
    """Return the number of the last step that was applied; 0 for an empty file."""
    return conn.execute("pragma user_version").fetchone()[0]


def migrate(conn: sqlite3.Connection, path: Path) -> None:
    """Apply the missing steps, each in one transaction, then rebuild the views if they changed.

    A file that already holds data is copied beside itself first, as `ledger-before-NNNN.db`, NNNN
    being the first missing step; the two newest such copies are kept.
    Raises `SchemaMismatch` when the file is newer than this program, or too old to be converted.
    """
    if missing_steps(version(conn)):
        # All workers start at once: one of them copies and upgrades, the others wait for it.
        with waiting_lock(path.parent, "upgrade"):
            upgrade(conn, path)
    replace_views(conn, VIEWS.read_text("utf-8"))


def upgrade(conn: sqlite3.Connection, path: Path) -> None:
    """Copy a file that has data, then apply the missing steps."""
    current = version(conn)
    missing = missing_steps(current)
    if current and missing:
        copy(conn, path.with_name(f"ledger-before-{missing[0][0]:04d}.db"))
        rotate(path.parent)
    for number, script in missing:
        apply(conn, number, script)


def copy(conn: sqlite3.Connection, target: Path) -> None:
    """Copy the open database to `target`, readable by its owner alone; delete a partial copy.

    Raises `Unwritable` when it cannot be written.
    """
    draft = target.with_name(f"{target.name}.partial")
    try:
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        with translate_errors(), closing(sqlite3.connect(draft)) as copied:
            conn.backup(copied)
            # Without this the copy of a file in WAL mode would have a write-ahead log of its own.
            copied.execute("pragma journal_mode = delete").fetchone()
        draft.rename(target)
    except OSError as error:
        raise Unwritable(f"no copy before the upgrade: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)


def rotate(folder: Path) -> None:
    """Delete all but the newest copies that upgrades made."""
    copies = sorted(folder.glob("ledger-before-*.db"), key=lambda file: file.stat().st_mtime)
    for old in copies[:-MAX_COPIES]:
        old.unlink(missing_ok=True)


def apply(conn: sqlite3.Connection, number: int, script: str) -> None:
    """Run one step and record it, in one transaction, unless another process has done so."""
    with transaction(conn):
        if version(conn) < number:
            # SQLite checks every view when a column is renamed; the views are created again anyway.
            drop_views(conn)
            run(conn, script)
            conn.execute(f"pragma user_version = {number}")


def replace_views(conn: sqlite3.Connection, script: str) -> None:
    """Replace every view by those of `script`, unless the file already has these views."""
    digest = hashlib.sha256(script.encode()).hexdigest()
    row = conn.execute("select value from settings where name = 'views'").fetchone()
    if row == (digest,):
        return
    with transaction(conn):
        drop_views(conn)
        run(conn, script)
        conn.execute("insert or replace into settings (name, value) values ('views', ?)", (digest,))


def drop_views(conn: sqlite3.Connection) -> None:
    """Drop every view and the digest of their script, inside the caller's transaction."""
    views = conn.execute("select name from sqlite_schema where type = 'view'").fetchall()
    for (name,) in views:
        conn.execute(f'drop view "{name}"')
    if views:
        conn.execute("delete from settings where name = 'views'")


def run(conn: sqlite3.Connection, script: str) -> None:
    """Run a script's statements inside the open transaction."""
    for statement in split_statements(script):
        conn.execute(statement)
