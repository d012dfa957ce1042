"""Start a worker and run its tasks: one in the main thread, or several in a thread each.

Threads share only the ledger file, each through its own connection, and when to stop.
"""

import logging
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import partial
from typing import NamedTuple, NoReturn

from ledger import SchemaMismatch, connect, settings
from ledger.data_folder import make_private, prepare
from ledger.database import FILE_NAME, FileIdentity, Replaced
from ledger.locks import hold
from ledger.settings import Proxy, Settings
from runtime.heartbeat import Heartbeat, delete_other_heartbeats
from runtime.loop import Job, retry_until_ready, run
from runtime.stop import CHECK_SECONDS, Stop

log = logging.getLogger(__name__)

LINE = "%(asctime)s %(levelname)s %(message)s"
LINE_OF_THREAD = "%(asctime)s %(levelname)s %(threadName)s: %(message)s"
TIME_FORMAT = "%H:%M:%S"


class Context(NamedTuple):
    """What a job is made from: the open ledger, the settings, when to stop, whether to run once."""

    conn: sqlite3.Connection
    settings: Settings
    stop: Stop
    once: bool = False


class Task(NamedTuple):
    """One job of a worker: its name in the ledger, its maker, and its proxy if it has one."""

    name: str
    make: Callable[[Context], Job]
    label: str = ""
    proxy_id: int | None = None


Plan = Callable[[Context], list[Task]]


def start(
    name: str,
    make: Callable[[Context], Job],
    *,
    rest: Callable[[Settings], float],
    once: bool,
) -> NoReturn:
    """Run the worker `name` with one job, as `start_tasks` does."""
    start_tasks(name, lambda _: [Task(name, make)], rest=rest, once=once)


def start_tasks(
    name: str,
    plan: Plan,
    *,
    rest: Callable[[Settings], float],
    once: bool,
    finish: Callable[[Context], None] | None = None,
) -> NoReturn:
    """Run the planned tasks of the worker `name` until a signal, and exit with their status.

    `rest` is how many seconds a task rests after a step that did nothing. With `once` each task
    ends instead. `finish` is called at the end.
    """
    log_to_stderr()
    current = settings.load()
    with Stop() as stop:
        status = run_worker(name, plan, Start(current, stop, once), rest(current), finish)
    sys.exit(status)


class Start(NamedTuple):
    """What a worker has before its ledger is open."""

    settings: Settings
    stop: Stop
    once: bool


def run_worker(
    name: str,
    plan: Plan,
    started: Start,
    rest: float,
    finish: Callable[[Context], None] | None,
) -> int:
    """Lock the folder, open the ledger, plan the tasks and run them; returns an exit status."""
    ready = partial(retry_until_ready, name=name, stop=started.stop, once=started.once)
    if not ready(partial(lock_folder, started.settings, name)):
        return 0
    conn = ready(partial(open_ledger, started.settings))
    if not conn:
        return 0
    with closing(conn):
        context = Context(conn, started.settings, started.stop, started.once)
        tasks = ready(partial(plan_tasks, name, plan, context))
        if not tasks:
            return 0
        try:
            status = Worker(name, context, rest=rest).run(tasks)
        except Replaced:
            restart_process(started.stop)
        if finish:
            finish(context)
    return status


def lock_folder(settings: Settings, name: str) -> int:
    """Hold the worker's lock until the process ends."""
    make_private(settings.data_folder)
    return hold(settings.data_folder, name)


def open_ledger(settings: Settings) -> sqlite3.Connection:
    """Open the ledger, upgraded and with its rollups up to date, before other tasks open it."""
    try:
        return prepare(settings.data_folder, timezone=settings.zone_name, names=settings.aliases)
    except SchemaMismatch as error:
        raise SystemExit(str(error)) from error


def plan_tasks(name: str, plan: Plan, context: Context) -> list[Task]:
    """Return the tasks, and delete the heartbeats of earlier ones with other names."""
    tasks = plan(context)
    delete_other_heartbeats(context.conn, name, [task.name for task in tasks])
    return tasks


def restart_process(stop: Stop) -> NoReturn:
    """Start this process again, since every file that it has open is of another ledger."""
    if stop.is_requested:
        sys.exit(0)
    log.warning("another file has replaced the ledger: starting again with it")
    os.execv(sys.executable, sys.orig_argv)


def for_each(
    role: str,
    proxies: Iterable[tuple[int, Proxy]],
    make: Callable[[Context, int, Proxy], Job],
) -> list[Task]:
    """Return a task for each proxy; several tasks are distinguished by their proxies' names."""
    pairs = list(proxies)
    return [
        Task(
            name=f"{role} {proxy.name}" if len(pairs) > 1 else role,
            make=job_maker(make, proxy_id, proxy),
            label=proxy.name,
            proxy_id=proxy_id,
        )
        for proxy_id, proxy in pairs
    ]


def job_maker(
    make: Callable[[Context, int, Proxy], Job], proxy_id: int, proxy: Proxy
) -> Callable[[Context], Job]:
    """Return `make` for one proxy."""
    return lambda context: make(context, proxy_id, proxy)


class Worker:
    """Runs the tasks of one worker, whose name is their role."""

    def __init__(self, role: str, context: Context, *, rest: float) -> None:
        self._role = role
        self._context = context
        self._rest = rest
        self._file = context.settings.data_folder / FILE_NAME
        self._ready = partial(retry_until_ready, name=role, stop=context.stop, once=context.once)
        self._statuses: list[int] = []
        self._errors: list[BaseException] = []

    def run(self, tasks: Sequence[Task]) -> int:
        """Run every task to its end; returns an exit status.

        An unexpected error of a task, or `Replaced`, is raised once all have stopped.
        """
        if len(tasks) == 1:
            return self._run_task(tasks[0], self._context)
        log_thread_names(self._role)
        threads = [
            threading.Thread(target=self._run_in_thread, args=(task,), name=task.label)
            for task in tasks
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            # A signal is handled here, between two joins at the latest.
            while thread.is_alive():
                thread.join(CHECK_SECONDS)
        for error in sorted(self._errors, key=lambda error: isinstance(error, Replaced)):
            raise error
        return max(self._statuses, default=0)

    def _run_in_thread(self, task: Task) -> None:
        """Run a task with its own connection; its error ends every task."""
        try:
            conn = self._ready(partial(connect, self._file))
            if conn is not None:
                with closing(conn):
                    context = self._context._replace(conn=conn)
                    self._statuses.append(self._run_task(task, context))
        except BaseException as error:
            self._errors.append(error)
            self._context.stop.set()

    def _run_task(self, task: Task, context: Context) -> int:
        """Run one task's loop; returns its status."""
        identity = FileIdentity(self._file)
        job = self._ready(partial(task.make, context))
        if job is None:
            return 0
        heartbeat = Heartbeat(context.conn, task.name, role=self._role, proxy_id=task.proxy_id)
        try:
            status = run(
                job,
                stop=context.stop,
                heartbeat=heartbeat,
                rest=self._rest,
                once=context.once,
                identity=identity,
            )
        except Replaced:
            job.close()
            raise
        job.close()
        heartbeat.stop()
        return status


def log_to_stderr() -> None:
    """Log events to stderr, never their content."""
    logging.basicConfig(level=logging.INFO, format=LINE, datefmt=TIME_FORMAT)
    # httpx logs each request at INFO.
    logging.getLogger("httpx").setLevel(logging.WARNING)


def log_thread_names(main: str) -> None:
    """Add to each line of the log the name of its thread: that of a proxy, or `main`."""
    threading.current_thread().name = main
    for handler in logging.getLogger().handlers:
        handler.setFormatter(logging.Formatter(LINE_OF_THREAD, TIME_FORMAT))
