"""`python -m demo`: fill a ledger with 30 days of history, then run everything on live traffic."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import msgspec
from tqdm import tqdm

from demo import auth_folder, past
from demo.pool import FILES, KEY, SEED
from demo.proxy import Proxy
from demo.serving import serving
from demo.traffic import Traffic
from ledger import connect_read_only, prepare, transaction
from ledger.config import ROOT
from ledger.file import NAME
from quota.providers import PROVIDERS
from runtime import settings
from runtime.serve import require_port
from runtime.settings import Settings

DAYS, EVENTS = 30, 24_000
CHUNK, MOST_QUEUED = 1_000, 4_000
POLL_SECONDS, PATIENCE_SECONDS = 0.05, 60.0
FAVOURITE_PORT = 18317


class Mark(msgspec.Struct):
    """What the demo's ledger says of itself, in its settings table; times are unix seconds."""

    port: int
    start: float
    end: float
    filled: bool = False


def main() -> None:
    """Fill the demo's ledger once, then become the process manager that runs all parts."""
    chosen = once()
    print(f"The dashboard: http://{chosen.dashboard_host}:{chosen.dashboard_port}/", flush=True)
    run_all()


def once() -> Settings:
    """Fill the demo's ledger unless it is filled already; give its settings."""
    point_at_demo()
    chosen = settings.load()
    require_port(chosen)
    mark = marked(chosen)
    os.environ["CLIPROXY_PORT"] = str(mark.port)
    urls = {name: f"http://127.0.0.1:{mark.port}/providers/{name}" for name in PROVIDERS}
    os.environ["LEDGER_PROVIDER_URLS"] = json.dumps(urls)
    auth_folder.write(chosen.auth_folder, FILES)
    if not mark.filled:
        fill(mark, chosen)
        keep(chosen, msgspec.structs.replace(mark, filled=True))
    return chosen


def point_at_demo() -> None:
    """Let every process use the demo's own folder, settings and key."""
    folder = os.environ.setdefault("LEDGER_DATA_DIR", str(ROOT / "demo-data"))
    here = Path(folder).expanduser()
    refuse_real(here)
    os.environ |= {
        "LEDGER_CONFIG": str(here / "config.json"),
        "LEDGER_AUTH_DIR": str(here / "auth"),
        "CLIPROXY_HOST": "127.0.0.1",
        "CLIPROXY_MANAGEMENT_KEY": KEY,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": str(ROOT),
    }


def refuse_real(folder: Path) -> None:
    """End with a sentence rather than mix the demo into a ledger that is not its own."""
    file = folder / NAME
    if not file.exists():
        return
    with closing(connect_read_only(file)) as conn:
        known = conn.execute("select name from proxies").fetchall()
        if known and not conn.execute("select 1 from settings where name = 'demo'").fetchone():
            raise SystemExit(
                f"{folder} holds the ledger of a real proxy: the demo leaves it alone."
            )


def marked(chosen: Settings) -> Mark:
    """Read the ledger's mark, or make one for the days before now, at a port that is free."""
    with closing(prepare(chosen.data_folder, timezone=chosen.zone_name)) as conn:
        row = conn.execute("select value from settings where name = 'demo'").fetchone()
    now = float(int(time.time()))
    mark = (
        msgspec.json.decode(row[0], type=Mark)
        if row
        else Mark(port=FAVOURITE_PORT, start=now - DAYS * 86_400, end=now)
    )
    mark.port = free_port(mark.port)
    keep(chosen, mark)
    return mark


def keep(chosen: Settings, mark: Mark) -> None:
    """Write the ledger's mark."""
    value = msgspec.json.encode(mark).decode()
    with (
        closing(prepare(chosen.data_folder, timezone=chosen.zone_name)) as conn,
        transaction(conn),
    ):
        conn.execute("insert or replace into settings (name, value) values ('demo', ?)", (value,))


def free_port(favourite: int) -> int:
    """Give the favourite port, or any free one when it is taken."""
    for port in (favourite, 0):
        with suppress(OSError), serving(Proxy(key=KEY, port=port)) as proxy:
            return proxy.port
    raise SystemExit("The demo's proxy finds no port to listen on.")


def fill(mark: Mark, chosen: Settings) -> None:
    """Send the history through the queue to a real collector, and keep the quotas of that time."""
    zone = datetime.now().astimezone().tzinfo or UTC
    traffic = Traffic(seed=SEED, anchor=mark.end, zone=zone)
    events = traffic.history(mark.start, mark.end, count=EVENTS)
    proxy = Proxy(key=KEY, port=mark.port, retention=3600, records=False)
    label = f"{DAYS} days of history"
    with serving(proxy), collecting() as collector, tqdm(desc=label, total=EVENTS) as bar:
        for chunk in batched_payloads(events):
            proxy.push(chunk)
            drain(proxy, collector, MOST_QUEUED)
            bar.update(len(chunk))
        drain(proxy, collector, 0)
    with closing(prepare(chosen.data_folder, timezone=chosen.zone_name)) as conn:
        past.keep(conn, proxy, traffic.quotas, start=mark.start, end=mark.end)


def batched_payloads(events: Iterator[bytes]) -> Iterator[list[bytes]]:
    """Cut the events into chunks."""
    while chunk := list(islice(events, CHUNK)):
        yield chunk


@contextmanager
def collecting() -> Iterator[subprocess.Popen[bytes]]:
    """Run the collector inside the block."""
    with tempfile.TemporaryFile() as said:
        collector = subprocess.Popen([sys.executable, "-m", "ingest"], cwd=ROOT, stderr=said)
        try:
            yield collector
        finally:
            collector.terminate()
            collector.wait()
        if collector.returncode:
            said.seek(0)
            raise SystemExit(said.read().decode().strip())


def drain(proxy: Proxy, collector: subprocess.Popen[bytes], most: int) -> None:
    """Wait until the queue holds no more than `most` events."""
    until = time.monotonic() + PATIENCE_SECONDS
    while proxy.queued > most and collector.poll() is None:
        if time.monotonic() > until:
            raise SystemExit("The collector takes nothing; see `python -m ingest`.")
        time.sleep(POLL_SECONDS)


def run_all() -> None:
    """Become the process manager of the stand-in, the workers and the dashboard."""
    command = [sys.executable, "-m", "runtime.run_all", "demo/Procfile"]
    os.execv(sys.executable, command)
