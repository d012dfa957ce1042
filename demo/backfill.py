"""Fill the demo's ledger with 30 days of history, through the queue and a real collector."""

import json
import os
import sqlite3
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

from demo import accounts, management
from demo.accounts import ERIN, FILES, KEY, SEED, Account
from demo.fake_proxy import FakeProxy, serving
from demo.providers import ANSWERS
from demo.quotas import Quotas
from demo.traffic import Traffic
from ledger import connect_read_only, transaction
from ledger.data_folder import prepare
from ledger.database import FILE_NAME
from ledger.settings import ROOT, Settings, load
from quota.account_sync import link_credentials, store_listing
from quota.decisions import decide_account
from quota.identity import from_listing
from quota.model import Answer, Reading
from quota.providers import PROVIDERS
from quota.sources import ListedCredential
from quota.store import PollAttempt, write_reading
from runtime.dashboard import require_port
from runtime.proxies import find

DAYS, EVENTS = 30, 24_000
CHUNK, MAX_QUEUED = 1_000, 4_000
POLL_SECONDS, TIMEOUT_SECONDS = 0.05, 60.0
QUOTA_SECONDS = 3600.0
# The length of the history of verdicts; between two answers each of them holds.
HISTORY_SECONDS, STALE_MS = 7 * 86_400.0, 2 * 3_600_000
PREFERRED_PORT = 18317


class DemoState(msgspec.Struct):
    """The demo's entry in the ledger's settings table; times are unix seconds."""

    port: int
    start: float
    end: float
    filled: bool = False


def ensure_filled() -> Settings:
    """Fill the demo's ledger unless it is filled already; return its settings."""
    use_demo_environment()
    settings = load()
    require_port(settings)
    state = load_state(settings)
    os.environ["CLIPROXY_PORT"] = str(state.port)
    urls = {name: f"http://127.0.0.1:{state.port}/providers/{name}" for name in PROVIDERS}
    os.environ["LEDGER_PROVIDER_URLS"] = json.dumps(urls)
    accounts.write_files(settings.auth_folder, FILES)
    if not state.filled:
        fill(state, settings)
        save_state(settings, msgspec.structs.replace(state, filled=True))
    return settings


def use_demo_environment() -> None:
    """Point this process and its children at the demo's own folder, settings and key."""
    folder = Path(os.environ.setdefault("LEDGER_DATA_DIR", str(ROOT / "demo-data"))).expanduser()
    refuse_real_ledger(folder)
    os.environ |= {
        "LEDGER_CONFIG": str(folder / "config.json"),
        "LEDGER_AUTH_DIR": str(folder / "auth"),
        "CLIPROXY_HOST": "127.0.0.1",
        "CLIPROXY_MANAGEMENT_KEY": KEY,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": str(ROOT),
    }


def refuse_real_ledger(folder: Path) -> None:
    """Raise SystemExit when the folder holds a ledger that is not the demo's."""
    file = folder / FILE_NAME
    if not file.exists():
        return
    with closing(connect_read_only(file)) as conn:
        proxies = conn.execute("select name from proxies").fetchall()
        if proxies and not conn.execute("select 1 from settings where name = 'demo'").fetchone():
            raise SystemExit(
                f"{folder} holds the ledger of a real proxy: the demo does not write to it."
            )


def load_state(settings: Settings) -> DemoState:
    """Read the demo's entry, or write one for the 30 days before now; its port is free."""
    with closing(prepare(settings.data_folder, timezone=settings.zone_name)) as conn:
        row = conn.execute("select value from settings where name = 'demo'").fetchone()
    now = float(int(time.time()))
    state = (
        msgspec.json.decode(row[0], type=DemoState)
        if row
        else DemoState(port=PREFERRED_PORT, start=now - DAYS * 86_400, end=now)
    )
    state.port = free_port(state.port)
    save_state(settings, state)
    return state


def save_state(settings: Settings, state: DemoState) -> None:
    """Write the demo's entry."""
    value = msgspec.json.encode(state).decode()
    with (
        closing(prepare(settings.data_folder, timezone=settings.zone_name)) as conn,
        transaction(conn),
    ):
        conn.execute("insert or replace into settings (name, value) values ('demo', ?)", (value,))


def free_port(preferred: int) -> int:
    """Return the preferred port, or any free one when it is taken."""
    for port in (preferred, 0):
        with suppress(OSError), serving(FakeProxy(key=KEY, port=port)) as proxy:
            return proxy.port
    raise SystemExit("The fake proxy finds no free port.")


def fill(state: DemoState, settings: Settings) -> None:
    """Send the history through the queue to a real collector, and store the quotas of that time."""
    zone = datetime.now().astimezone().tzinfo or UTC
    traffic = Traffic(seed=SEED, anchor=state.end, zone=zone)
    events = traffic.history(state.start, state.end, count=EVENTS)
    proxy = FakeProxy(key=KEY, port=state.port, retention=3600, keeps_log=False)
    label = f"{DAYS} days of history"
    with serving(proxy), collecting() as collector, tqdm(desc=label, total=EVENTS) as bar:
        while chunk := list(islice(events, CHUNK)):
            proxy.push(chunk)
            drain(proxy, collector, MAX_QUEUED)
            bar.update(len(chunk))
        drain(proxy, collector, 0)
    with closing(prepare(settings.data_folder, timezone=settings.zone_name)) as conn:
        store_quotas(conn, proxy, traffic.quotas, start=state.start, end=state.end)


@contextmanager
def collecting() -> Iterator[subprocess.Popen[bytes]]:
    """Run the collector inside the block; raise SystemExit with its output when it fails."""
    with tempfile.TemporaryFile() as output:
        collector = subprocess.Popen([sys.executable, "-m", "ingest"], cwd=ROOT, stderr=output)
        try:
            yield collector
        finally:
            collector.terminate()
            collector.wait()
        if collector.returncode:
            output.seek(0)
            raise SystemExit(output.read().decode().strip())


def drain(proxy: FakeProxy, collector: subprocess.Popen[bytes], most: int) -> None:
    """Wait until the queue holds at most `most` events, or the collector has ended."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while proxy.queued > most and collector.poll() is None:
        if time.monotonic() > deadline:
            raise SystemExit("The collector takes no events; see `python -m ingest`.")
        time.sleep(POLL_SECONDS)


def store_quotas(
    conn: sqlite3.Connection, proxy: FakeProxy, quotas: Quotas, *, start: float, end: float
) -> None:
    """Store hourly quota answers of every account, as a quota worker would have; unix seconds.

    The verdicts of the last week are decided too, so that their history has one.
    """
    by_file = {account.file: account for account in proxy.accounts}
    entries = management.file_entries(proxy.accounts, proxy.counters, since=start)
    listed = [ListedCredential(one, "demo") for one in map(from_listing, entries) if one]
    members = link_credentials(conn, find(conn, f"127.0.0.1:{proxy.port}"), listed)
    store_listing(conn, members, "management")
    with transaction(conn):
        for account_id, credentials in members.items():
            account = by_file[credentials[0].credential.file_name]
            if account is not ERIN:
                for reading in readings(account, quotas, start=start, end=end):
                    moment = reading.observed_at
                    write_reading(
                        conn, account_id, reading, PollAttempt(moment, moment, "management", "demo")
                    )
                    if moment > (end - HISTORY_SECONDS) * 1000:
                        decide_account(conn, account_id, now=moment, stale_ms=STALE_MS)


def readings(account: Account, quotas: Quotas, *, start: float, end: float) -> Iterator[Reading]:
    """Yield the hourly readings of an account's provider, oldest first."""
    answer = next(answer for (name, _, _), answer in ANSWERS.items() if name == account.provider)
    moment = start
    while moment < end:
        body = json.dumps(answer(account, quotas, moment))
        yield PROVIDERS[account.provider].parse(Answer(200, {}, body, int(moment * 1000)), None)
        moment += QUOTA_SECONDS
