"""`python -m ledger import FILE [--proxy NAME]`: bring in what another program recorded."""

import argparse
import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

from ingest.events import Events
from ingest.importers import report, run
from ingest.importers.choice import Chosen, chosen_proxy
from ingest.importers.detect import reader
from ingest.importers.reader import Reader, Unreadable
from ingest.names import Names
from ingest.rows import Rows
from ledger import Unavailable, prepare, settings
from ledger.keys import load_salt
from ledger.locks import hold
from ledger.prices import Prices
from ledger.settings import Settings
from ledger.terminal import progress
from runtime.heartbeat import now

PROVIDERS = """
  select auth_index, min(provider)
  from credentials
  where proxy_id = ?
  group by auth_index
  having count(*) = 1
"""
STAYS = "What came in stays; the same command finds it there and goes on."


def main(chosen: argparse.Namespace) -> None:
    """Bring a file in, with a bar that shows progress, and say what came of it."""
    given = settings.load()
    with closing(prepare(given.data_folder, timezone=given.zone_name)) as conn:
        lock = hold(given.data_folder, "import")
        try:
            proxy = chosen_proxy(conn, given.pool, chosen.proxy)
            with closing(opened(chosen.file, partial(providers, conn, proxy.id))) as file:
                bring_in(conn, given, file, chosen, proxy=proxy)
        except (Unreadable, Unavailable) as error:
            raise SystemExit(f"Stopped: {str(error).rstrip('.')}. {STAYS}") from error
        except KeyboardInterrupt:
            raise SystemExit(f"\nStopped. {STAYS}") from None
        finally:
            os.close(lock)


def opened(file: Path, known: Callable[[], Mapping[str, str]]) -> Reader:
    """Open a file as what it is, or end with the sentence why it cannot be."""
    try:
        return reader(file, known)
    except Unreadable as error:
        raise SystemExit(str(error)) from error


def bring_in(
    conn: sqlite3.Connection,
    given: Settings,
    file: Reader,
    chosen: argparse.Namespace,
    *,
    proxy: Chosen,
) -> None:
    """Bring an open file in and print the report."""
    many = file.count()
    print(f"{chosen.file.name}: {many:,} records of {file.program}, for the proxy {proxy.name}")
    row = {"file": chosen.file.name, "proxy_id": proxy.id, "started_at": now()}
    import_id = run.begin(conn, file, row)
    names = Names(conn, proxy.id, load_salt(given.data_folder), shares_accounts=True)
    rows = Rows(names, Prices(given.prices), import_id=import_id)
    job = run.Import(import_id, conn, rows, Events(conn, rows, origin=file.origin))
    with progress("import") as told:
        outcome = run.bring_in(job, file, told=lambda done: told(done, many))
    run.finish(job, now())
    sql = "select first_at, last_at from imports where id = ?"
    print(report.days(*conn.execute(sql, (import_id,)).fetchone()))
    for line in report.lines(outcome, show_all=chosen.differences):
        print(line)


def providers(conn: sqlite3.Connection, proxy_id: int) -> Mapping[str, str]:
    """Give the provider of each credential that the ledger knows, by auth_index."""
    return dict(conn.execute(PROVIDERS, (proxy_id,)).fetchall())
