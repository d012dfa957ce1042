"""Start a worker: settings, lock, ledger, signals, and then its tasks."""

import argparse
import logging
import os
import sqlite3
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from typing import NoReturn

from ledger import NewerLedger, prepare, settings
from ledger.file import make_private
from ledger.locks import hold
from ledger.presence import Replaced
from ledger.settings import Settings
from runtime.heartbeat import forget_others
from runtime.loop import Job, patiently
from runtime.stop import Stop
from runtime.tasks import Given, Task, Work, begin_logging

__all__ = ["Given", "Task", "arguments", "start", "start_tasks"]

log = logging.getLogger(__name__)

Make = Callable[[Given], Job]
Plan = Callable[[Given], list[Task]]


def start(
    name: str,
    make: Make,
    *,
    rest: Callable[[Settings], float],
    flags: Mapping[str, str] | None = None,
    finish: Callable[[Given], None] | None = None,
) -> None:
    """Run the worker `name` whose one job `make` gives, as `start_tasks` does."""
    start_tasks(name, lambda _: [Task(name, make)], rest=rest, flags=flags, finish=finish)


def start_tasks(
    name: str,
    plan: Plan,
    *,
    rest: Callable[[Settings], float],
    flags: Mapping[str, str] | None = None,
    finish: Callable[[Given], None] | None = None,
) -> None:
    """Run the tasks that `plan` gives of the worker `name`, until a signal; exits with its status.

    `flags` are options of this worker alone, each with its help; `finish` has the last word.
    """
    options = arguments(name, flags or {})
    begin_logging()
    chosen = settings.load()
    with Stop() as stop:
        how = {"name": name, "stop": stop, "once": options.once}
        if not patiently(partial(locked, chosen, name), **how):
            sys.exit(0)
        conn = patiently(partial(opened, chosen), **how)
        if not conn:
            sys.exit(0)
        with closing(conn):
            given = Given(conn, chosen, stop, options)
            tasks = patiently(partial(planned, name, plan, given), **how)
            if not tasks:
                sys.exit(0)
            try:
                status = Work(name, given, rest=rest(chosen)).run(tasks)
            except Replaced:
                begin_anew(stop)
            if finish:
                finish(given)
        sys.exit(status)


def locked(chosen: Settings, name: str) -> int:
    """Hold the worker's lock for as long as the process lives."""
    make_private(chosen.data_folder)
    return hold(chosen.data_folder, name)


def opened(chosen: Settings) -> sqlite3.Connection:
    """Open the ledger, upgraded and caught up, before anything else has it open."""
    try:
        return prepare(chosen.data_folder, timezone=chosen.zone_name, names=chosen.aliases)
    except NewerLedger as error:
        raise SystemExit(str(error)) from error


def planned(name: str, plan: Plan, given: Given) -> list[Task]:
    """Give the tasks, and forget what earlier ones of other names said of themselves."""
    tasks = plan(given)
    forget_others(given.conn, name, [task.name for task in tasks])
    return tasks


def begin_anew(stop: Stop) -> NoReturn:
    """Start this process again, since everything it has open is of another ledger file."""
    if stop.is_told:
        sys.exit(0)
    log.warning("another ledger file lies in the place of the one in use: starting again with it")
    os.execv(sys.executable, sys.orig_argv)


def arguments(name: str, flags: Mapping[str, str]) -> argparse.Namespace:
    """Read the command line of a worker."""
    parser = argparse.ArgumentParser(prog=f"python -m {name}")
    parser.add_argument("--once", action="store_true", help="stop when there is nothing left to do")
    for flag, meaning in flags.items():
        parser.add_argument(f"--{flag}", action="store_true", help=meaning)
    return parser.parse_args()
