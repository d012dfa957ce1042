"""The real processes under load: collector, workers, dashboard, fake proxy, and an HTTP client."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from bench.ledgers import ZONE, copied, open_read_only
from bench.workload import Kind
from ledger.settings import ROOT

KEY = "bench-management-key"
COLLECTOR = "ingest"
TIMEOUT_SECONDS = 20.0
LAST_LINES = 12
# Between two queries of the ledger.
POLL_SECONDS = 0.01
STUCK_SECONDS = 30.0
# Ids are assigned in order and no event is deleted.
NEWEST_ID = "select coalesce(max(id), 0) from usage_events"


class Place(NamedTuple):
    """The ledger's folder and the ports of the processes."""

    folder: Path
    proxy_port: int
    web_port: int

    @property
    def environment(self) -> dict[str, str]:
        """The environment of each process."""
        ours = ("LEDGER_", "CLIPROXY_")
        others = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {
            **others,
            "LEDGER_CONFIG": str(self.folder / "config.json"),
            "LEDGER_DATA_DIR": str(self.folder),
            "LEDGER_AUTH_DIR": str(self.folder.with_name("auth")),
            "LEDGER_TIMEZONE": ZONE,
            "LEDGER_DASHBOARD_PORT": str(self.web_port),
            "LEDGER_PARENT_PID": str(os.getpid()),
            "CLIPROXY_PORT": str(self.proxy_port),
            "CLIPROXY_MANAGEMENT_KEY": KEY,
            "PYTHONPATH": str(ROOT),
        }


def modules() -> dict[str, str]:
    """Return the module of each process of the Procfile, by its name."""
    lines = (ROOT / "Procfile").read_text("utf-8").splitlines()
    parts = (line.partition(":") for line in lines if ":" in line)
    return {name: command.split()[-1] for name, _, command in parts}


@contextmanager
def running(module: str, place: Place) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python -m module` inside the block; print its last lines when it fails."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env=place.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            yield process
        except BaseException:
            if process.poll():
                output.seek(0)
                print(*output.read().decode().splitlines()[-LAST_LINES:], sep="\n", file=sys.stderr)
            raise
        finally:
            end(process)


def end(process: subprocess.Popen[Any]) -> None:
    """End a process, by force after a while; do nothing when it has ended."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """Return a port on which no program listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Progress(NamedTuple):
    """How many events the fake proxy has pushed since the start, and how many are queued."""

    pushed: int
    queued: int


class ProxyProcess:
    """The fake proxy in a process of its own, so that it does not share our interpreter."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = int(self._read())

    @property
    def name(self) -> str:
        """The proxy's name in the ledger."""
        return f"127.0.0.1:{self.port}"

    def fill(self, kind: Kind, count: int) -> Progress:
        """Queue many events."""
        return self._command(f"fill {kind} {count}")

    def set_rate(self, rate: float) -> Progress:
        """Set how many events are published each second from now on."""
        return self._command(f"rate {rate}")

    def progress(self) -> Progress:
        """Return the current counts."""
        return self._command("count")

    def _command(self, line: str) -> Progress:
        pipe = _pipe(self._process.stdin)
        pipe.write(f"{line}\n")
        pipe.flush()
        pushed, queued = self._read().split()
        return Progress(int(pushed), int(queued))

    def _read(self) -> str:
        line = _pipe(self._process.stdout).readline()
        if not line:
            raise SystemExit("The fake proxy ended.")
        return line


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None, "started with pipes"
    return stream


@contextmanager
def proxy_process() -> Iterator[ProxyProcess]:
    """Run the fake proxy inside the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.fake_proxy"],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield ProxyProcess(process)
    finally:
        _pipe(process.stdin).close()
        end(process)
        _pipe(process.stdout).close()


class Commit(NamedTuple):
    """How many events were in the ledger at an instant of the monotonic clock."""

    at: float
    stored: int


class Commits:
    """The collector's commits, seen by another connection; counts begin at the construction."""

    def __init__(self, home: Path) -> None:
        self._conn = open_read_only(home)
        self._before = self._newest_id()

    def stored(self) -> int:
        """Return how many events are new."""
        return self._newest_id() - self._before

    def follow(
        self, until: Callable[[int], bool], collector: subprocess.Popen[bytes]
    ) -> list[Commit]:
        """Return each commit until a count is reached; raise SystemExit when none comes."""
        commits = [Commit(time.monotonic(), self.stored())]
        while not until(commits[-1].stored):
            stored = self.stored()
            if stored > commits[-1].stored:
                commits.append(Commit(time.monotonic(), stored))
            is_stuck = time.monotonic() > commits[-1].at + STUCK_SECONDS
            if is_stuck or collector.poll() is not None:
                raise SystemExit(f"The collector is stuck at {stored:,} events.")
            time.sleep(POLL_SECONDS)
        return commits

    def row(self, sql: str) -> tuple[Any, ...]:
        """Return the first row of a query."""
        row: tuple[Any, ...] = self._conn.execute(sql).fetchone()
        return row

    def close(self) -> None:
        """Close the connection."""
        self._conn.close()

    def _newest_id(self) -> int:
        newest: int = self.row(NEWEST_ID)[0]
        return newest


def per_second(commits: list[Commit]) -> float:
    """Return the events a second between the first and the last commit."""
    later = [commit for commit in commits if commit.stored > commits[0].stored]
    if len(later) < 2:
        return 0.0
    first, last = later[0], later[-1]
    return (last.stored - first.stored) / (last.at - first.at)


class Client:
    """An HTTP client with one connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)

    def wait(self) -> None:
        """Wait until the server answers; raise SystemExit when it does not."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            try:
                self.get("/ledger/state.json")
                return
            except OSError:
                self.close()
                time.sleep(0.05)
        raise SystemExit("The dashboard's server does not answer.")

    def get(self, path: str) -> tuple[float, int]:
        """Return the milliseconds that an answer took, and its status."""
        started_at = time.perf_counter()
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        response.read()
        return (time.perf_counter() - started_at) * 1000, response.status

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Live(NamedTuple):
    """All processes of the Procfile on a copy of a ledger, the fake proxy and a client."""

    place: Place
    proxy: ProxyProcess
    processes: dict[str, subprocess.Popen[bytes]]
    commits: Commits
    client: Client
    stack: ExitStack

    @property
    def process_ids(self) -> dict[str, int]:
        """The process ids by name."""
        return {name: process.pid for name, process in self.processes.items()}

    def stop_collector(self) -> None:
        """Stop the collector alone."""
        end(self.processes[COLLECTOR])

    def start_collector(self) -> None:
        """Start the collector again."""
        module = modules()[COLLECTOR]
        self.processes[COLLECTOR] = self.stack.enter_context(running(module, self.place))

    def follow(self, until: Callable[[int], bool]) -> list[Commit]:
        """Return each commit until a count of events is reached."""
        return self.commits.follow(until, self.processes[COLLECTOR])

    def lost(self) -> int:
        """Stop the traffic, wait for the collector, and return how many events did not arrive."""
        self.proxy.set_rate(0)
        pushed = self.proxy.progress().pushed
        self.follow(lambda stored: stored >= pushed)
        return pushed - self.commits.stored()


@contextmanager
def live(home: Path, rate: float) -> Iterator[Live]:
    """Run everything on a copy of a ledger while `rate` events a second arrive."""
    with ExitStack() as stack:
        proxy = stack.enter_context(proxy_process())
        folder = stack.enter_context(copied(home, proxy=proxy.name))
        place = Place(folder, proxy.port, free_port())
        processes = {
            name: stack.enter_context(running(module, place)) for name, module in modules().items()
        }
        commits = stack.enter_context(closing(Commits(folder)))
        client = stack.enter_context(closing(Client(place.web_port)))
        client.wait()
        proxy.set_rate(rate)
        system = Live(place, proxy, processes, commits, client, stack)
        system.follow(lambda stored: stored > 0)
        yield system
