"""Shared by the tests: recorded events, a data folder of their own, and real processes."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from demo.fake_proxy import FakeProxy
from ingest.collector import Collector
from ingest.start import collectors
from ledger import text
from ledger.settings import Settings
from runtime.tasks import Context

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
EVENTS = DATA / "events"
KEY = "test-management-key"
# Long enough for a busy machine: no test measures time.
TIMEOUT_SECONDS = 120.0
NOBODY = 65534
CLOCK = (
    "CREATE VIEW clock as select cast(value as integer) as now from settings where name = 'clock'"
)
# Datasette leaves databases to the garbage collector, which Python tells since 3.13.
DASHBOARD = {"PYTHONWARNINGS": "error::ResourceWarning,ignore:unclosed database:ResourceWarning"}


def eventually(true: Callable[[], Any], *, within: float = TIMEOUT_SECONDS) -> Any:
    """Wait until a function returns something true, and return that; fail after a time."""
    until = time.monotonic() + within
    while not (result := true()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)
    return result


@contextmanager
def unwritable(folder: Path) -> Iterator[None]:
    """Become a user who can read a folder and its files but change nothing, also as root."""
    is_root = os.geteuid() == 0
    for path in (folder.parent, folder):
        path.chmod(0o555)
    if is_root:
        os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        if is_root:
            os.setresuid(0, 0, 0)
        for path in (folder.parent, folder):
            path.chmod(0o755)


def set_clock(conn: sqlite3.Connection, now: int) -> None:
    """Set the clock of the views to an instant (ms), which is a row that this changes."""
    # A view that changed with each instant would have every statement prepared again.
    (definition,) = conn.execute("select sql from sqlite_schema where name = 'clock'").fetchone()
    if definition != CLOCK:
        conn.execute("drop view clock")
        conn.execute(CLOCK)
    conn.execute("replace into settings values ('clock', ?)", (str(now),))


def add_rollup_rows(
    conn: sqlite3.Connection, table: str, rows: Iterable[Mapping[str, int]]
) -> None:
    """Insert rows into a rollup table; measures that a row does not name are 0."""
    columns = [row[1] for row in conn.execute(f"pragma table_info({table})")]
    places = ", ".join(f":{column}" for column in columns)
    empty = dict.fromkeys(columns, 0)
    conn.executemany(f"insert into {table} values ({places})", ({**empty, **row} for row in rows))


class Home:
    """A data folder with its settings, and the processes started on it."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.env = {
            **{name: value for name, value in os.environ.items() if "LEDGER" not in name},
            "LEDGER_CONFIG": str(folder / "config.json"),
            "LEDGER_DATA_DIR": str(self.data),
            "LEDGER_AUTH_DIR": str(folder / "auth"),
            "LEDGER_TIMEZONE": "Asia/Shanghai",
            "LEDGER_POLL_INTERVAL_SECONDS": "0.1",
            "LEDGER_QUERY_SECONDS": "60",
            "CLIPROXY_MANAGEMENT_KEY": KEY,
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "error::ResourceWarning",
        }
        self.started: list[subprocess.Popen[str]] = []

    def use(self, proxy: FakeProxy, **more: str) -> None:
        """Point the settings at a fake proxy."""
        self.env |= {"CLIPROXY_PORT": str(proxy.port), **more}

    def start(self, *module: str) -> subprocess.Popen[str]:
        """Start `python -m …` and remember it."""
        environment = self.env | (DASHBOARD if module[0] == "runtime.serve" else {})
        return self._start([sys.executable, "-m", *module], env=environment)

    def make(self, target: str) -> subprocess.Popen[str]:
        """Start `make …` in a session of its own, and remember it."""
        return self._start(["make", target], env=self.env, start_new_session=True)

    def line(self, line: str) -> subprocess.Popen[str]:
        """Start a line of a Procfile as honcho does, and remember it."""
        environment = {**self.env, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        return self._start(["sh", "-c", line], env=environment)

    def _start(self, command: list[str], **options: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **options,
        )
        self.started.append(process)
        return process

    def run(self, *module: str, status: int | None = 0) -> str:
        """Run `python -m …` to its end and return its output."""
        process = self.start(*module)
        output, _ = process.communicate(timeout=300)
        assert status is None or process.returncode == status, output
        return output

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query; none while there is no ledger."""
        file = self.data / "ledger.db"
        if not file.exists():
            return []
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)) as conn:
            return conn.execute(sql, parameters).fetchall()

    def problems(self, view: str = "problems") -> dict[tuple[str, str], str]:
        """Return the sentence of each problem, or of each fact, by its code and subject."""
        rows = self.query(f"select code, subject, parameters from {view}")
        return {
            (code, subject): text.sentence(code, json.loads(parameters), "en")
            for code, subject, parameters in rows
        }

    def facts(self) -> dict[tuple[str, str], str]:
        """Return the sentence of each fact of the state page by its code and subject."""
        return self.problems("state_facts")

    def count(self, table: str = "usage_events") -> int:
        """Count a table's rows; 0 while there is none."""
        exists = self.query("select 1 from sqlite_schema where name = ?", table)
        return self.query(f"select count(*) from {table}")[0][0] if exists else 0

    def stop_clock(self) -> None:
        """Stop the clock of the views a second after the newest event."""
        with closing(sqlite3.connect(self.data / "ledger.db", timeout=10)) as conn, conn:
            (newest,) = conn.execute("select max(occurred_at) from usage_events").fetchone()
            set_clock(conn, newest + 1000)

    def spool(self, proxy_id: int = 1) -> Path:
        """Return the spool file of a proxy."""
        return self.data / f"ingest-{proxy_id}.spool"

    def end(self) -> None:
        """End every process that is still running."""
        for process in self.started:
            if process.poll() is None:
                # A session of its own is `make` and the process manager, which others watch.
                is_leader = os.getpgid(process.pid) == process.pid
                (os.killpg if is_leader else os.kill)(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()


def collector_of(conn: sqlite3.Connection, settings: Settings) -> Collector:
    """Return the collector of the only proxy of the settings, in the test's own process."""
    context = Context(conn, settings, None)
    (task,) = collectors(context)
    return task.make(context)


def recorded(name: str) -> list[bytes]:
    """Return the payloads of one recording."""
    return (EVENTS / f"{name}.jsonl").read_bytes().splitlines()


RECORDINGS = ("recorded-v7.1.10", "recorded-v7.2.140", "written-from-source")
