"""Queries, scrapes and status lines while events arrive, and an outage of the collector."""

import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from bench.plan import Plan
from bench.processes import Live, live, per_second
from bench.queries import WHY_SERVED, Times, by_group, served, timed, times_table
from bench.report import (
    Figure,
    Part,
    Section,
    at_most,
    joined,
    must_hold,
    none_lost,
    number,
    percentile,
    progress,
)
from ledger.database import FILE_NAME
from ledger.settings import ROOT

MEMORY_LIMIT, SCRAPE_LIMIT, STATUS_LIMIT = 260, 50, 200
# Scrapes within a second share an answer; Prometheus does not scrape more often.
BETWEEN_SCRAPES_SECONDS = 1.05
WATCH_SECONDS = 0.25
# Adding up the pages of a process stops it for a moment, so memory is read less often.
MEMORY_EVERY = 8
GAPS = "select count(*), coalesce(sum(retention_exceeded), 0) from gaps where ended_at is not null"
# Events younger than this are still on their way: the collector polls.
IN_FLIGHT_SECONDS = 2.0
TIMEOUT_SECONDS = 10.0


def measure(home: Path, plan: Plan) -> tuple[list[Times], Part]:
    """Time all requests while events arrive, then stop the collector for a while."""
    with live(home, plan.rate) as system:
        pushed, started_at = system.proxy.progress().pushed, time.monotonic()
        with Watch(system.place.folder, system.process_ids) as watch:
            times = timed(system.client, served(), samples=plan.samples)
            watch.read_memory()
        scrapes = measure_scrapes(system, plan)
        rate = (system.proxy.progress().pushed - pushed) / (time.monotonic() - started_at)
        outage = measure_outage(system, plan)
        lost = none_lost("Events lost during all these measurements", system.lost())
    title = f"Queries while {rate:.0f} events/s arrive"
    requests = Part(by_group(times), [times_table(title, times, WHY_SERVED)])
    return times, joined([requests, scrapes, memory(watch), outage, Part([lost], [])])


def measure_scrapes(system: Live, plan: Plan) -> Part:
    """Scrape `/metrics` and print the status line while events arrive."""
    scrapes = time_scrapes(system, plan.scrapes)
    status_lines = time_status_lines(system, plan.lines)
    sentences = [
        f"`/metrics`, {plan.scrapes} times, {BETWEEN_SCRAPES_SECONDS:.2f} s apart, and "
        f"`python -m ledger status`, {plan.lines} times from the start of the process to its end, "
        "while events arrive.",
    ]
    rows = [
        [name, *(number(percentile(times, percent)) for percent in (50, 95, 99)), number(limit)]
        for name, times, limit in (
            ("/metrics", scrapes, SCRAPE_LIMIT),
            ("status line", status_lines, STATUS_LIMIT),
        )
    ]
    columns = ["command", "p50 ms", "p95 ms", "p99 ms", "limit ms"]
    scrape_p99, status_p99 = percentile(scrapes, 99), percentile(status_lines, 99)
    return Part(
        [
            at_most("p99 of a scrape of /metrics", scrape_p99, SCRAPE_LIMIT, "ms"),
            at_most("p99 of the status line, whole process", status_p99, STATUS_LIMIT, "ms"),
        ],
        [Section("Metrics and status", sentences, columns, rows)],
    )


def time_scrapes(system: Live, count: int) -> list[float]:
    """Return the milliseconds of each scrape."""
    milliseconds = []
    with progress("scrapes", count) as bar:
        for _ in range(count):
            elapsed, status = system.client.get("/metrics")
            if status != 200:
                raise SystemExit(f"/metrics answered {status}.")
            milliseconds.append(elapsed)
            bar.update()
            time.sleep(BETWEEN_SCRAPES_SECONDS)
    return milliseconds


def time_status_lines(system: Live, count: int) -> list[float]:
    """Return the milliseconds of each status line."""
    milliseconds = []
    for _ in range(count):
        started_at = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "ledger", "status"],
            cwd=ROOT,
            env=system.place.environment,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        milliseconds.append((time.perf_counter() - started_at) * 1000)
    return milliseconds


class Watch:
    """Watches the memory of processes, by name, and a ledger's write-ahead log."""

    def __init__(self, folder: Path, process_ids: dict[str, int]) -> None:
        self._wal = folder / f"{FILE_NAME}-wal"
        self._process_ids = process_ids
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.wal_bytes = 0
        self.memory: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        turn = 0
        while not self._stop.wait(WATCH_SECONDS):
            if self._wal.exists():
                self.wal_bytes = max(self.wal_bytes, self._wal.stat().st_size)
            if turn % MEMORY_EVERY == 0:
                self.read_memory()
            turn += 1

    def read_memory(self) -> None:
        """Read the memory of all processes; store it when the sum is the largest so far."""
        memory = {name: resident_bytes(pid) for name, pid in self._process_ids.items()}
        if sum(memory.values()) > sum(self.memory.values()):
            self.memory = memory


def resident_bytes(pid: int) -> int:
    """Return a process's memory in bytes; shared pages count by share where the system can."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8").splitlines()
    except FileNotFoundError:
        rss: int = psutil.Process(pid).memory_info().rss
        return rss
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def memory(watch: Watch) -> Part:
    """Return the largest memory of the processes and the largest size of the log."""
    total = sum(watch.memory.values()) / 1e6
    rows = [[name, number(size / 1e6)] for name, size in watch.memory.items()]
    sentences = [
        "Proportional set size: a memory page that n processes share counts as 1/n for each. "
        "Most of it is "
        "Python and the packages that each process has loaded: SQLite uses only a few MB for each "
        "connection, and the rest of the file is in the system's cache.",
        "SQLite restarts the write-ahead log when a checkpoint finds no reader; a client that "
        "sends requests without a pause, as here, leaves few such moments.",
    ]
    return Part(
        [
            at_most("Resident memory, all processes", total, MEMORY_LIMIT, "MB"),
            Figure("Write-ahead log, largest size", f"{number(watch.wal_bytes / 1e6)} MB"),
        ],
        [Section("Memory", sentences, ["process", "MB"], rows)],
    )


def measure_outage(system: Live, plan: Plan) -> Part:
    """Stop the collector for a while, start it again, and time until it is up to date."""
    before = system.commits.row(GAPS)
    system.stop_collector()
    with progress("seconds without collector", plan.pause) as bar:
        for _ in range(plan.pause):
            time.sleep(1)
            bar.update()
    waiting, started_at = system.proxy.progress().queued, time.monotonic()
    system.start_collector()
    in_flight = plan.rate * IN_FLIGHT_SECONDS
    commits = system.follow(lambda stored: system.proxy.progress().pushed - stored < in_flight)
    seconds, rate = commits[-1].at - started_at, per_second(commits)
    caught_up = Figure(
        f"Catch-up after {plan.pause} s without collector, {waiting:,} events waiting",
        f"{number(seconds)} s from its start, {number(rate)} events/s",
    )
    recorded = is_gap_recorded(system, before)
    return Part([caught_up, must_hold("The gap is recorded, no event is dropped", recorded)], [])


def is_gap_recorded(system: Live, before: tuple[int, int]) -> bool:
    """Return whether one more gap is recorded, without events dropped from the queue."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        gaps, exceeded = system.commits.row(GAPS)
        if gaps > before[0]:
            return (gaps, exceeded) == (before[0] + 1, before[1])
        time.sleep(0.05)
    return False
