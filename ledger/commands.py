"""The commands of `python -m ledger`: create the file, prove that it adds up, work it out anew."""

import argparse
import sqlite3
import time
from contextlib import closing
from datetime import date
from pathlib import Path

from ledger import NewerLedger, Unavailable, connect_read_only, rollups, safekeeping, settings
from ledger.check import problems
from ledger.file import NAME
from ledger.terminal import existing, opened, progress

ABOUT = "Create the ledger file, prove that it adds up, work it out anew."
OUTSIDE = "{day} is outside the days that the ledger knows."


def init(_: argparse.Namespace) -> None:
    """Create or upgrade the ledger and print where it is."""
    opened().close()
    print(settings.read().data_folder / NAME)


def check(_: argparse.Namespace) -> None:
    """Print each question with its answer; end with status 1 when one fails."""
    with closing(connect_read_only(existing())) as conn:
        wrong = 0
        for question, problem in problems(conn):
            print(
                f"{'WRONG' if problem else 'ok':5}  {question}{': ' + problem if problem else ''}"
            )
            wrong += bool(problem)
    if wrong:
        raise SystemExit(1)


def rebuild(_: argparse.Namespace) -> None:
    """Work out every rollup anew; workers may run, and the state page says so meanwhile."""
    existing()
    with closing(opened()) as conn, progress("rollups") as told:
        rollups.forget(conn, time.time_ns() // 1_000_000)
        rollups.catch_up(conn, told)


def reprice(chosen: argparse.Namespace) -> None:
    """Work out the cost of stored events anew, of all or of whole local days."""
    from ledger.prices import Prices  # Slow to load, and the other commands do without.
    from ledger.reprice import reprice

    existing()
    with closing(opened()) as conn, progress("costs") as told:
        start, end = bounds(conn, chosen.first, chosen.last)
        changed = reprice(conn, Prices(settings.read().prices), start=start, end=end, told=told)
    print(f"{changed:,} costs changed.")


def bounds(conn: sqlite3.Connection, first: date | None, last: date | None) -> tuple[int, int]:
    """Give the instants (ms) between which local days lie; without days, all of time."""
    start = day_at(conn, first, "starts_at") if first else 0
    return start, day_at(conn, last, "ends_at") if last else 1 << 62


def day_at(conn: sqlite3.Connection, day: date, column: str) -> int:
    """Give the beginning or the end of a local day."""
    sql = f"select {column} from local_days where day = ?"
    row = conn.execute(sql, (day.isoformat(),)).fetchone()
    if row is None:
        raise SystemExit(OUTSIDE.format(day=day))
    return row[0]


def bring_in(chosen: argparse.Namespace) -> None:
    """Bring in what another program recorded: see docs/migration.md."""
    # The one command that needs what the collector knows of events.
    from ingest.importers import command

    command.main(chosen.file, proxy_name=chosen.proxy, all_differences=chosen.differences)


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    whole = argparse.ArgumentParser(prog="python -m ledger", description=ABOUT)
    commands = whole.add_subparsers(title="commands", required=True)
    for function in (init, check, rebuild, reprice, *safekeeping.COMMANDS):
        command = commands.add_parser(function.__name__, help=function.__doc__)
        command.set_defaults(run=function)
        if function is reprice:
            for name, flag in (("first", "--from"), ("last", "--to")):
                command.add_argument(flag, dest=name, type=date.fromisoformat, metavar="DAY")
        safekeeping.describe(function, command)
    describe_import(commands.add_parser("import", help=bring_in.__doc__))
    # Run by `ledger.__main__` before anything here is loaded.
    commands.add_parser("status", help="Say in one line how things are.")
    return whole


def describe_import(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `import`, a name that no function can have."""
    command.set_defaults(run=bring_in)
    command.add_argument("file", type=Path)
    command.add_argument("--proxy", metavar="NAME", help="the proxy that the events are of")
    command.add_argument(
        "--differences", action="store_true", help="list the events whose totals differ"
    )


def main() -> None:
    """Run the command named on the command line."""
    chosen = parser().parse_args()
    try:
        chosen.run(chosen)
    except (Unavailable, NewerLedger, safekeeping.Damaged) as error:
        raise SystemExit(str(error)) from error
    except sqlite3.DatabaseError as error:
        raise SystemExit(f"The ledger cannot be read: {error}.") from error
