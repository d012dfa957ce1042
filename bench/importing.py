"""The speed and the memory of an import of another program's history."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from bench.plan import Plan
from bench.processes import Place
from bench.report import Part, Section, at_least, number
from bench.workload import Workload, history
from ingest.parse import Usage, parse
from ledger.settings import ROOT

LIMIT = 10_000
CHUNK = 5_000
RSS_UNIT = 1 if sys.platform == "darwin" else 1024
COLUMNS = (
    "event_key",
    "api_group_key",
    "provider",
    "endpoint",
    "auth_type",
    "request_id",
    "model",
    "model_alias",
    "executor_type",
    "timestamp",
    "source",
    "auth_index",
    "failed",
    "latency_ms",
    "ttft_ms",
    "input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cached_tokens",
    "cache_read_tokens",
    "cache_creation_tokens",
    "total_tokens",
)
INSERT = f"insert into usage_events ({', '.join(COLUMNS)}) values ({', '.join('?' * len(COLUMNS))})"


class Run(NamedTuple):
    """The seconds of an import and its peak memory in bytes."""

    seconds: float
    peak: int


def measure(home: Path, plan: Plan) -> Part:
    """Import a database of cpa-usage-keeper into an empty ledger, then once more."""
    folder = home.with_name(f"import-{os.getpid()}")
    folder.mkdir(mode=0o700)
    try:
        file = folder / "keeper.db"
        write_keeper_database(file, payloads(plan.imported))
        runs = {"first": run_import(file, folder), "again": run_import(file, folder)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows = [
        [name, number(plan.imported / run.seconds), number(run.peak / 1e6)]
        for name, run in runs.items()
    ]
    sentences = [
        f"`python -m ledger import` of a database of cpa-usage-keeper with {plan.imported:,} rows "
        "over 90 days, from the start to the end of the process, into an empty ledger; then once "
        "more, when every event is in the ledger already.",
    ]
    rate = plan.imported / runs["first"].seconds
    return Part(
        [at_least("Import of keeper's database", rate, LIMIT, "events/s")],
        [Section("Import", sentences, ["run", "events/s", "peak memory, MB"], rows)],
    )


def payloads(count: int) -> Iterator[bytes]:
    """Yield events of the reference workload, oldest first."""
    workload, moments = Workload(), iter(history(count, time.time()))
    while chunk := list(islice(moments, CHUNK)):
        yield from workload.payloads(chunk, "thin")


def run_import(file: Path, folder: Path) -> Run:
    """Run the command."""
    place = Place(folder / "data", proxy_port=8317, web_port=8320)
    started_at = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "ledger", "import", str(file)],
        cwd=ROOT,
        env=place.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, resources = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit("The import failed.")
    return Run(time.perf_counter() - started_at, resources.ru_maxrss * RSS_UNIT)


def write_keeper_database(file: Path, raws: Iterable[bytes]) -> None:
    """Write the table of events as cpa-usage-keeper has it."""
    with closing(sqlite3.connect(file)) as conn:
        conn.execute("pragma synchronous = off")
        columns = ", ".join(COLUMNS)
        conn.execute(f"create table usage_events (id integer primary key, {columns})")
        insert_keeper_events(conn, raws)
        conn.commit()


def insert_keeper_events(conn: sqlite3.Connection, raws: Iterable[bytes]) -> None:
    """Insert events into a database that has the table."""
    conn.executemany(INSERT, (keeper_row(raw) for raw in raws))


def keeper_row(raw: bytes) -> tuple[object, ...]:
    """Return an event as keeper stores it: tokens normalised, the client's key in clear."""
    usage = parse(raw)
    if not isinstance(usage, Usage):
        raise ValueError(usage.reason)
    payload, tokens = usage.payload, usage.tokens
    return (
        payload.request_id,
        payload.api_key,
        payload.provider,
        payload.endpoint,
        payload.auth_type,
        payload.request_id,
        payload.model,
        payload.alias or payload.model,
        payload.executor_type,
        payload.timestamp,
        payload.source,
        payload.auth_index,
        payload.failed,
        payload.latency_ms or 0,
        payload.ttft_ms,
        tokens.input,
        tokens.output,
        tokens.reasoning,
        tokens.cached,
        tokens.cached,
        tokens.cache_write,
        tokens.input + tokens.output,
    )
