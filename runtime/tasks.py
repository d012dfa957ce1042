"""The tasks of a worker: one in the main thread, or several in a thread each.

Threads share nothing but the ledger file, each through its own connection, and when to stop.
"""

import argparse
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import partial
from typing import NamedTuple

from ledger import connect
from ledger.file import NAME
from ledger.presence import Presence, Replaced
from ledger.settings import Proxy, Settings
from runtime.heartbeat import Heartbeat
from runtime.loop import Job, patiently, run
from runtime.stop import LOOK_SECONDS, Stop

log = logging.getLogger(__name__)

LINES = "%(asctime)s %(levelname)s %(message)s"
LINES_OF_THREADS = "%(asctime)s %(levelname)s %(threadName)s: %(message)s"
CLOCK = "%H:%M:%S"


class Given(NamedTuple):
    """What a job is made of: the open ledger, the settings, when to stop, the command line."""

    conn: sqlite3.Connection
    settings: Settings
    stop: Stop
    options: argparse.Namespace


class Task(NamedTuple):
    """One job of a worker: its name in the ledger, how it is made, its proxy if it has one."""

    name: str
    make: Callable[[Given], Job]
    label: str = ""
    proxy_id: int | None = None


def for_each(
    role: str, found: Iterable[tuple[int, Proxy]], make: Callable[[Given, int, Proxy], Job]
) -> list[Task]:
    """Plan a task for each proxy; where there are several, their names tell the tasks apart."""
    proxies = list(found)
    return [
        Task(
            name=f"{role} {proxy.name}" if len(proxies) > 1 else role,
            make=partial(make, proxy_id=proxy_id, proxy=proxy),
            label=proxy.name,
            proxy_id=proxy_id,
        )
        for proxy_id, proxy in proxies
    ]


class Work:
    """Runs the tasks of one worker, whose role it is."""

    def __init__(self, role: str, given: Given, *, rest: float) -> None:
        self._role = role
        self._given = given
        self._rest = rest
        self._file = given.settings.data_folder / NAME
        how = {"name": role, "stop": given.stop, "once": given.options.once}
        self._patiently = partial(patiently, **how)
        self._statuses: list[int] = []
        self._errors: list[BaseException] = []

    def run(self, tasks: Sequence[Task]) -> int:
        """Run every task to its end; returns an exit status.

        An error of one that nobody expected, or `Replaced`, is raised once all have stopped.
        """
        if len(tasks) == 1:
            return self._do(tasks[0], self._given)
        name_threads(self._role)
        threads = [
            threading.Thread(target=self._do_apart, args=(task,), name=task.label) for task in tasks
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            # A signal is handled here, between two looks at the latest.
            while thread.is_alive():
                thread.join(LOOK_SECONDS)
        for error in sorted(self._errors, key=lambda error: isinstance(error, Replaced)):
            raise error
        return max(self._statuses, default=0)

    def _do_apart(self, task: Task) -> None:
        """Run a task with a connection of its own; its end by an error is the end of all."""
        try:
            conn = self._patiently(partial(connect, self._file))
            if conn is not None:
                with closing(conn):
                    self._statuses.append(self._do(task, self._given._replace(conn=conn)))
        except BaseException as error:
            self._errors.append(error)
            self._given.stop.now()

    def _do(self, task: Task, given: Given) -> int:
        """Run one task's loop; returns its status."""
        presence = Presence(self._file)
        job = self._patiently(partial(task.make, given))
        if job is None:
            return 0
        heartbeat = Heartbeat(given.conn, task.name, role=self._role, proxy_id=task.proxy_id)
        how = {"rest": self._rest, "once": given.options.once, "presence": presence}
        try:
            status = run(job, stop=given.stop, heartbeat=heartbeat, **how)
        except Replaced:
            job.close()
            raise
        job.close()
        heartbeat.stop()
        return status


def begin_logging() -> None:
    """Log to stderr: what happened, never what was in it."""
    logging.basicConfig(level=logging.INFO, format=LINES, datefmt=CLOCK)
    # httpx logs each request at INFO.
    logging.getLogger("httpx").setLevel(logging.WARNING)


def name_threads(main: str) -> None:
    """Name on each line of the log whose it is: a proxy's, or everybody's."""
    threading.current_thread().name = main
    for handler in logging.getLogger().handlers:
        handler.setFormatter(logging.Formatter(LINES_OF_THREADS, CLOCK))
