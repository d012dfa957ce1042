"""How fast another program's history comes in, and in how much memory."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from bench import keeper_file
from bench.figures import Part, Section, at_least, number
from bench.plan import Plan
from bench.processes import Place
from bench.workload import Workload, history
from ledger.settings import ROOT

BAR = 10_000
AT_ONCE = 5_000
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def measure(home: Path, plan: Plan) -> Part:
    """Bring a keeper-shaped file into an empty ledger, then once more."""
    folder = home.with_name(f"import-{os.getpid()}")
    folder.mkdir(mode=0o700)
    try:
        file = folder / "keeper.db"
        keeper_file.write(file, payloads(plan.imported))
        runs = [("first", *brought(file, folder)), ("again", *brought(file, folder))]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows = [
        [name, number(plan.imported / seconds), number(peak / 1e6)] for name, seconds, peak in runs
    ]
    sentences = [
        f"`python -m ledger import` of a database of cpa-usage-keeper with {plan.imported:,} rows "
        "over 90 days, from start to end of the process, into an empty ledger; then once more, "
        "when every event is found there already.",
    ]
    rate = plan.imported / runs[0][1]
    return Part(
        [at_least("Import of keeper's database", rate, BAR, "events/s")],
        [Section("Import", sentences, ["run", "events/s", "peak memory, MB"], rows)],
    )


def payloads(many: int) -> Iterator[bytes]:
    """Give events of the reference workload, oldest first."""
    workload, moments = Workload(), iter(history(many, time.time()))
    while some := list(islice(moments, AT_ONCE)):
        yield from workload.payloads(some, "thin")


def brought(file: Path, folder: Path) -> tuple[float, int]:
    """Run the command; gives seconds and the most memory that it had, in bytes."""
    place = Place(folder / "data", proxy_port=8317, web_port=8320)
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "ledger", "import", str(file)],
        cwd=ROOT,
        env=place.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit("The import failed.")
    return time.perf_counter() - begun, used.ru_maxrss * RSS_UNIT
