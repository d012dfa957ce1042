"""The commands that copy the ledger, bring a copy back, and let go of old events."""

import argparse
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ledger import backup as copies
from ledger import retention, settings
from ledger.backup import Damaged
from ledger.locks import exclusive
from ledger.restore import restore as bring_back
from ledger.terminal import existing, opened, progress

KEPT_BACKUPS = 7

__all__ = ["COMMANDS", "Damaged", "describe"]


def backup(chosen: argparse.Namespace) -> None:
    """Copy the ledger while it is in use, prove the copy, and keep the newest copies."""
    data = existing().parent
    target = chosen.folder or data / copies.FOLDER
    with progress("backup", "pages") as told:
        file = copies.backup(data, target, keep=max(chosen.keep, 1), told=told)
    print(f"{file} is intact ({file.stat().st_size / 1e6:,.1f} MB).")


def restore(chosen: argparse.Namespace) -> None:
    """Put a backup in the ledger's place, while no worker runs; the old ledger is kept."""
    data = settings.read().data_folder
    old = bring_back(chosen.file.absolute(), data)
    print(f"{chosen.file} is the ledger now.")
    if old:
        print(f"The old one lies at {old}.")


def retain(_: argparse.Namespace) -> None:
    """Delete the events that keep_events_days no longer keeps, and give their space back."""
    existing()
    days = settings.read().keep_events_days
    with closing(opened()) as conn:
        deleted = thin(conn, days)
        print(f"{deleted:,} events deleted; every sum is kept.")
        if not retention.gives_back(conn):
            shrink(conn)


def thin(conn: sqlite3.Connection, days: int) -> int:
    """Delete what is not to be kept, a little at a time; give how many events that were."""
    retention.cut(conn, keep_days=days, now=time.time_ns() // 1_000_000)
    deleted = 0
    while some := retention.delete_some(conn):
        deleted += some
    while retention.give_back(conn):
        pass
    return deleted


def shrink(conn: sqlite3.Connection) -> None:
    """Write a file anew that cannot shrink step by step; workers would have to wait."""
    with exclusive(existing().parent):
        conn.execute("pragma journal_mode = delete").fetchone()
        conn.execute("pragma auto_vacuum = incremental")
        conn.execute("vacuum")
        conn.execute("pragma journal_mode = wal").fetchone()


COMMANDS: tuple[Callable[[argparse.Namespace], None], ...] = (backup, restore, retain)


def describe(function: Callable[..., None], command: argparse.ArgumentParser) -> None:
    """Add the arguments of a command."""
    if function is backup:
        command.add_argument("folder", nargs="?", type=Path, help="default: backups beside it")
        command.add_argument("--keep", type=int, default=KEPT_BACKUPS, metavar="N")
    if function is restore:
        command.add_argument("file", type=Path)
