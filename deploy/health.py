"""`python -m cli health SERVICE`: end with status 1 and a sentence when it is not healthy."""

import http.client
import sqlite3
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from ledger import connect_read_only, settings
from ledger.database import FILE_NAME
from ledger.settings import Settings

TIMEOUT_SECONDS = 5.0
STATE = """
  select
    heartbeats.pid         as pid,
    worker_states.state    as state,
    worker_states.detail   as detail
  from worker_states
  join heartbeats on heartbeats.worker = worker_states.worker
  where worker_states.worker = :worker
"""


class State(NamedTuple):
    """The last report of a worker."""

    pid: int
    state: str
    detail: str | None

    @property
    def is_healthy(self) -> bool:
        """Whether it works, or reports the reason why it waits."""
        return self.state not in ("stopped", "silent")


def state(folder: Path, worker: str) -> State | None:
    """Read the last report of a worker; None when there is none, or the ledger cannot be read."""
    try:
        with closing(connect_read_only(folder / FILE_NAME)) as conn:
            row = conn.execute(STATE, {"worker": worker}).fetchone()
    except sqlite3.Error:
        return None
    return State(*row) if row else None


def local_address(host: str) -> str:
    """Return the address at which a server that listens on `host` is reached from here."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"


def dashboard_answers(settings: Settings) -> bool:
    """Return whether the dashboard answers; a request for the password is an answer too."""
    host, port = local_address(settings.dashboard_host), settings.dashboard_port
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def problem(settings: Settings, service: str) -> str | None:
    """Return a sentence on what is wrong with a service; None when nothing is."""
    if service == "web":
        return None if dashboard_answers(settings) else "The dashboard does not answer."
    report = state(settings.data_folder, service)
    if report is None:
        return f"{service} has not reported yet."
    return None if report.is_healthy else f"{service} is {report.state}."


def check(service: str) -> None:
    """Raise `SystemExit` with a sentence when a service is not healthy."""
    if sentence := problem(settings.load(), service):
        raise SystemExit(sentence)
