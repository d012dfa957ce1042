"""The commands of `python -m ledger` that work on the ledger of the settings."""

import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ledger import backup as backups
from ledger import integrity, retention, rollups
from ledger.data_folder import prepare
from ledger.database import FILE_NAME, connect_read_only
from ledger.locks import exclusive
from ledger.settings import ROOT, Settings, read

LONG_AFTER = 1 << 62


def open_ledger(settings: Settings) -> sqlite3.Connection:
    """Create or upgrade the ledger and open it."""
    return prepare(settings.data_folder, timezone=settings.zone_name, names=settings.aliases)


def existing_file(settings: Settings) -> Path:
    """Return the ledger's file; raises `SystemExit` with a sentence when there is none."""
    file = settings.data_folder / FILE_NAME
    if not file.exists():
        raise SystemExit(f"There is no ledger at {file}; `make init` creates one.")
    return file


@contextmanager
def progress_bar(label: str, unit: str = "events") -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar; the function that it returns takes (done, total)."""
    with tqdm(desc=label, unit=f" {unit}", unit_scale=True) as bar:

        def update(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield update


def init() -> None:
    """Create or upgrade the ledger and print its path."""
    settings = read()
    open_ledger(settings).close()
    print(settings.data_folder / FILE_NAME)


def check() -> bool:
    """Print every check of the ledger with its result; returns whether all passed."""
    with closing(connect_read_only(existing_file(read()))) as conn:
        checks = []
        for check in integrity.check_all(conn):
            checks.append(check)
            problem = f": {check.problem}" if check.problem else ""
            print(f"{'WRONG' if problem else 'ok':5}  {check.statement}{problem}")
    return not any(check.problem for check in checks)


def rebuild() -> None:
    """Compute every rollup again from the raw events; workers may run at the same time."""
    settings = read()
    existing_file(settings)
    with closing(open_ledger(settings)) as conn, progress_bar("rollups") as update:
        rollups.reset(conn, time.time_ns() // 1_000_000)
        rollups.catch_up(conn, update)


def reprice(first: date | None, last: date | None) -> None:
    """Compute the cost of stored events again, of all or of whole local days."""
    from ledger.prices.calculator import Prices  # Slow to load; the other commands do without.
    from ledger.prices.reprice import reprice, summary

    settings = read()
    existing_file(settings)
    with closing(open_ledger(settings)) as conn, progress_bar("costs") as update:
        start = day_boundary(conn, first, "starts_at") if first else 0
        end = day_boundary(conn, last, "ends_at") if last else LONG_AFTER
        prices = Prices.configured(settings)
        changes = reprice(conn, prices, start=start, end=end, progress=update)
    print(*summary(changes), sep="\n")


def explain_price(fields: dict[str, Any], day: date | None) -> None:
    """Print what a model costs and by which rule, now or at noon of a day (UTC).

    `fields` are those of `Attempt` but the time.
    """
    from ledger.prices.calculator import Attempt, Prices
    from ledger.prices.explain import explain

    moment = datetime.combine(day, time_of_day(12), UTC) if day else datetime.now(UTC)
    attempt = Attempt(occurred_at=round(moment.timestamp() * 1000), **fields)
    print(*explain(Prices.configured(read()), attempt), sep="\n")


def day_boundary(conn: sqlite3.Connection, day: date, column: str) -> int:
    """Return the instant (ms) in a column of a local day."""
    sql = f"select {column} from local_days where day = ?"
    row = conn.execute(sql, (day.isoformat(),)).fetchone()
    if row is None:
        raise SystemExit(f"{day} is outside the days that the ledger knows.")
    return row[0]


def backup(folder: Path | None, keep: int) -> None:
    """Copy the ledger while it is in use, check the copy, and keep the newest copies."""
    data = existing_file(read()).parent
    with progress_bar("backup", "pages") as update:
        file = backups.backup(
            data, folder or data / backups.FOLDER, keep=max(keep, 1), progress=update
        )
    print(f"{file} is intact ({file.stat().st_size / 1e6:,.1f} MB).")


def restore(file: Path) -> None:
    """Put a backup in the ledger's place, while no worker runs; the old ledger is kept."""
    old = backups.restore(file.absolute(), read().data_folder)
    print(f"{file} is the ledger now.")
    if old:
        print(f"The old ledger is at {old}.")


def retain() -> None:
    """Delete the events that are older than `keep_events_days`, and release their space."""
    settings = read()
    data = existing_file(settings).parent
    with closing(open_ledger(settings)) as conn:
        days, now = settings.keep_events_days, time.time_ns() // 1_000_000
        deleted = retention.prune(conn, keep_days=days, now=now)
        print(f"{deleted:,} events deleted; every sum is kept.")
        if not retention.can_release_pages(conn):
            with exclusive(data):
                retention.rewrite_file(conn)


def print_report(window: str, *, by: str | None, style: str) -> None:
    """Print the use of a window."""
    # Slow to load, and only reports need them.
    from ledger import report
    from ledger.queries import database_of

    with closing(connect_read_only(existing_file(read()))) as conn:
        report.print_report(database_of(conn), window, by=by, style=style)


def print_bill(month: str, *, price: float | None, share: str, style: str) -> None:
    """Print the bill of a month; the price is that of the settings by default."""
    from ledger import report
    from ledger.queries import database_of

    settings = read()
    dollars = settings.subscription_price if price is None else price
    with closing(connect_read_only(existing_file(settings))) as conn:
        database = database_of(conn)
        report.print_bill(database, month, dollars=dollars, share=share, style=style)


def write_docs() -> None:
    """Write the pages that are generated: docs/settings.md and docs/tables.md."""
    from ledger import reference, settings_reference

    with (
        tempfile.TemporaryDirectory() as folder,
        closing(prepare(Path(folder), timezone="UTC")) as conn,
    ):
        tables = reference.page(conn)
    for name, content in (("settings.md", settings_reference.page()), ("tables.md", tables)):
        (ROOT / "docs" / name).write_text(content, "utf-8")
        print(f"docs/{name}")
