"""`python -m ledger import FILE [--proxy NAME]`: import the records of another program."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ingest.dimensions import Dimensions
from ingest.importers import run
from ingest.importers.detect import open_reader
from ingest.importers.reader import Reader, Unreadable
from ingest.store import EventWriter
from ledger import Unavailable, settings, transaction
from ledger.commands import progress_bar
from ledger.data_folder import prepare
from ledger.keys import load_salt
from ledger.locks import hold
from ledger.prices.calculator import Prices
from ledger.settings import Proxy, Settings
from runtime.heartbeat import now
from runtime.proxies import find_all

DIFFERENCES_SHOWN = 5
SEVERAL_PROXIES = (
    "The settings list several proxies: name the one of these events with --proxy {names}. "
    "Another name adds a proxy that nothing is collected from."
)
RESUME = "Imported events stay; the same command continues with the rest."
FIND_PROXY = "select id from proxies where name = ?"
ADD_PROXY = "insert into proxies (name, configured) values (?, 0)"
PROVIDERS = """
  select auth_index, min(provider)
  from credentials
  where proxy_id = ?
  group by auth_index
  having count(*) = 1
"""
IMPORTED_DAYS = "select first_at, last_at from imports where id = ?"


class ImportProxy(NamedTuple):
    """The proxy that the imported events belong to."""

    id: int
    name: str


def main(path: Path, *, proxy_name: str | None = None, all_differences: bool = False) -> None:
    """Import a file with a progress bar, and print a report."""
    current = settings.load()
    with closing(prepare(current.data_folder, timezone=current.zone_name)) as conn:
        lock = hold(current.data_folder, "import")
        try:
            proxy = find_proxy(conn, current.pool, proxy_name)
            with closing(open_or_exit(path, partial(providers, conn, proxy.id))) as reader:
                outcome = import_file(conn, current, reader, path.name, proxy=proxy)
        except (Unreadable, Unavailable) as error:
            raise SystemExit(f"Stopped: {str(error).rstrip('.')}. {RESUME}") from error
        except KeyboardInterrupt:
            raise SystemExit(f"\nStopped. {RESUME}") from None
        finally:
            os.close(lock)
    for line in report(outcome, all_differences=all_differences):
        print(line)


def find_proxy(conn: sqlite3.Connection, pool: list[Proxy], name: str | None) -> ImportProxy:
    """Return the named proxy, or the only one of the settings; a new name adds a proxy.

    Raises `SystemExit` with a sentence when a name is needed.
    """
    ids = dict(zip((proxy.name for proxy in pool), find_all(conn, pool), strict=True))
    if name:
        return ImportProxy(ids.get(name) or find_or_add_proxy(conn, name), name)
    if len(ids) > 1:
        raise SystemExit(SEVERAL_PROXIES.format(names=" or ".join(map(repr, ids))))
    ((only_name, proxy_id),) = ids.items()
    return ImportProxy(proxy_id, only_name)


def find_or_add_proxy(conn: sqlite3.Connection, name: str) -> int:
    """Return the id of a proxy that is not in the settings."""
    with transaction(conn):
        row = conn.execute(FIND_PROXY, (name,)).fetchone()
        return row[0] if row else conn.execute(ADD_PROXY, (name,)).lastrowid or 0


def open_or_exit(path: Path, providers: Callable[[], Mapping[str, str]]) -> Reader:
    """Open a file, or exit with a sentence on why it cannot be read."""
    try:
        return open_reader(path, providers)
    except Unreadable as error:
        raise SystemExit(str(error)) from error


def providers(conn: sqlite3.Connection, proxy_id: int) -> Mapping[str, str]:
    """Return the providers in the ledger by `auth_index`, where they are unambiguous."""
    return dict(conn.execute(PROVIDERS, (proxy_id,)).fetchall())


def import_file(
    conn: sqlite3.Connection, current: Settings, reader: Reader, name: str, *, proxy: ImportProxy
) -> run.Outcome:
    """Import an open file with a progress bar, and print its size and its days."""
    count = reader.count()
    print(f"{name}: {count:,} records of {reader.program}, for the proxy {proxy.name}")
    row = {"file": name, "proxy_id": proxy.id, "started_at": now()}
    import_id = run.begin(conn, reader, row)
    dimensions = Dimensions(conn, proxy.id, load_salt(current.data_folder), shares_accounts=True)
    events = EventWriter(
        conn, dimensions, Prices.configured(current), origin=reader.origin, import_id=import_id
    )
    job = run.Import(import_id, conn, dimensions, events)
    with progress_bar("import") as show:
        outcome = run.run(job, reader, on_progress=lambda done: show(done, count))
    run.finish(job, now())
    print(days(*conn.execute(IMPORTED_DAYS, (import_id,)).fetchone()))
    return outcome


def days(first_at: int | None, last_at: int | None) -> str:
    """Return the days (UTC) of the imported events as text."""
    if first_at is None or last_at is None:
        return "no events"
    first, last = (datetime.fromtimestamp(at / 1000, UTC).date() for at in (first_at, last_at))
    return f"events of {first}" if first == last else f"events from {first} to {last} (UTC)"


def report(outcome: run.Outcome, *, all_differences: bool = False) -> Iterator[str]:
    """Return the report line by line."""
    counts, findings = outcome
    rejected = findings.rejected.total()
    improved = f", {counts.improved:,} of them improved" if counts.improved else ""
    yield f"{counts.stored:>11,}  imported"
    yield f"{counts.duplicate:>11,}  already in the ledger{improved}"
    yield f"{rejected:>11,}  rejected{', and left in the file' if rejected else ''}"
    for reason, count in findings.rejected.most_common():
        places = ", ".join(findings.places[reason])
        yield f"{count:>19,}  {reason} ({places}{', …' if count > run.PLACES_SHOWN else ''})"
    in_file, in_ledger = findings.tokens_in_file, findings.tokens_in_ledger
    yield f"Tokens: {in_file:,} by the file's totals, {in_ledger:,} by ours."
    yield from differences(findings, all_differences=all_differences)


def differences(findings: run.Findings, *, all_differences: bool) -> Iterator[str]:
    """Return the lines about events whose total differs: the first few, or all noted ones."""
    count = findings.difference_count
    if not count:
        return
    yield f"{count:,} {'event differs' if count == 1 else 'events differ'}:"
    shown = findings.differences if all_differences else findings.differences[:DIFFERENCES_SHOWN]
    for place, in_file, in_ledger, reason in shown:
        yield f"  {place}: {in_file:,} in the file, {in_ledger:,} in the ledger: {reason}"
    if count > len(shown):
        hint = "" if all_differences else f"; --differences shows up to {run.MAX_DIFFERENCES:,}"
        yield f"  and {count - len(shown):,} more{hint}"
