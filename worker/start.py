"""Start a worker: settings, lock, ledger, signals, loop."""

import argparse
import logging
import sqlite3
import sys
from collections.abc import Callable

from ledger import NewerLedger, Unavailable, prepare
from ledger.file import make_private
from worker import settings
from worker.heartbeat import Heartbeat
from worker.lock import hold
from worker.loop import FIRST_WAIT, LONGEST_WAIT, Job, run
from worker.settings import Settings
from worker.stop import Stop

log = logging.getLogger(__name__)

Make = Callable[[sqlite3.Connection, Settings], Job]


def start(name: str, make: Make, *, rest: Callable[[Settings], float]) -> None:
    """Run the worker `name` whose job `make` gives, until a signal; exits with its status."""
    once = arguments(name).once
    begin_logging()
    chosen = settings.load()
    with Stop() as stop:
        sys.exit(work(name, make, chosen, stop=stop, once=once, rest=rest(chosen)))


def work(name: str, make: Make, chosen: Settings, *, stop: Stop, once: bool, rest: float) -> int:
    """Hold the lock, open the ledger and run the loop; returns an exit status."""
    conn = opened(chosen, name, stop=stop, once=once)
    if conn is None:
        return 0
    heartbeat = Heartbeat(conn, name)
    job = make(conn, chosen)
    status = run(job, stop=stop, heartbeat=heartbeat, rest=rest, once=once)
    job.close()
    heartbeat.stop()
    conn.close()
    return status


def opened(chosen: Settings, name: str, *, stop: Stop, once: bool) -> sqlite3.Connection | None:
    """Open the ledger, waiting for it if need be; None when it is time to stop."""
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


def arguments(name: str) -> argparse.Namespace:
    """Read the command line of a worker."""
    parser = argparse.ArgumentParser(prog=f"python -m {name}")
    parser.add_argument("--once", action="store_true", help="stop when there is nothing left to do")
    return parser.parse_args()


def begin_logging() -> None:
    """Log to stderr: what happened, never what was in it."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S"
    )
    # httpx logs each request at INFO.
    logging.getLogger("httpx").setLevel(logging.WARNING)
