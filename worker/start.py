"""Start a worker: settings, lock, ledger, signals, loop."""

import argparse
import logging
import os
import sqlite3
import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple, NoReturn

from ledger import NewerLedger, Unavailable, prepare
from ledger.file import NAME, make_private
from ledger.presence import Presence, Replaced
from worker import settings
from worker.heartbeat import Heartbeat
from worker.lock import hold
from worker.loop import FIRST_WAIT, LONGEST_WAIT, Job, run
from worker.settings import Settings
from worker.stop import Stop

log = logging.getLogger(__name__)


class Given(NamedTuple):
    """What a job is made of: the open ledger, the settings, when to stop, the command line."""

    conn: sqlite3.Connection
    settings: Settings
    stop: Stop
    options: argparse.Namespace


Make = Callable[[Given], Job]


def start(
    name: str,
    make: Make,
    *,
    rest: Callable[[Settings], float],
    flags: Mapping[str, str] | None = None,
    finish: Callable[[Given], None] | None = None,
) -> None:
    """Run the worker `name` whose job `make` gives, until a signal; exits with its status.

    `flags` are options of this worker alone, each with its help; `finish` has the last word.
    """
    options = arguments(name, flags or {})
    begin_logging()
    chosen = settings.load()
    with Stop() as stop:
        conn = opened(chosen, name, stop=stop, once=options.once)
        if conn is None:
            sys.exit(0)
        given = Given(conn, chosen, stop, options)
        status = work(name, make, given, rest=rest(chosen))
        if finish:
            finish(given)
        conn.close()
        sys.exit(status)


def work(name: str, make: Make, given: Given, *, rest: float) -> int:
    """Run the loop; returns an exit status."""
    heartbeat = Heartbeat(given.conn, name)
    presence = Presence(given.settings.data_folder / NAME)
    job = make(given)
    how = {"rest": rest, "once": given.options.once, "presence": presence}
    try:
        status = run(job, stop=given.stop, heartbeat=heartbeat, **how)
    except Replaced:
        job.close()
        begin_anew()
    job.close()
    heartbeat.stop()
    return status


def begin_anew() -> NoReturn:
    """Start this process again, since everything it has open is of another ledger file."""
    log.warning("another ledger file lies in the place of the one in use: starting again with it")
    os.execv(sys.executable, sys.orig_argv)


def opened(chosen: Settings, name: str, *, stop: Stop, once: bool) -> sqlite3.Connection | None:
    """Hold the lock and open the ledger, waiting for it; None when it is time to stop."""
    wait, locked = FIRST_WAIT, False
    while not stop.look():
        try:
            make_private(chosen.data_folder)
            locked = locked or bool(hold(chosen.data_folder, name))
            return prepare(chosen.data_folder, timezone=chosen.zone_name)
        except NewerLedger as error:
            raise SystemExit(str(error)) from error
        except Unavailable as error:
            if once:
                raise SystemExit(f"{name}: {error}.") from error
            log.warning("waiting: %s", error)
        stop.rest(wait)
        wait = min(wait * 2, LONGEST_WAIT)
    return None


def arguments(name: str, flags: Mapping[str, str]) -> argparse.Namespace:
    """Read the command line of a worker."""
    parser = argparse.ArgumentParser(prog=f"python -m {name}")
    parser.add_argument("--once", action="store_true", help="stop when there is nothing left to do")
    for flag, meaning in flags.items():
        parser.add_argument(f"--{flag}", action="store_true", help=meaning)
    return parser.parse_args()


def begin_logging() -> None:
    """Log to stderr: what happened, never what was in it."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S"
    )
    # httpx logs each request at INFO.
    logging.getLogger("httpx").setLevel(logging.WARNING)
