"""`python -m deploy.health SERVICE`: end with status 1 and a sentence when one is not well."""

import http.client
import sqlite3
import sys
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from ledger import connect_read_only, settings
from ledger.file import NAME
from ledger.settings import Settings

PATIENCE_SECONDS = 5.0
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
    """What a worker last said of itself."""

    pid: int
    state: str
    detail: str | None

    @property
    def is_well(self) -> bool:
        """Tell whether it is at work, or knows what it waits for."""
        return self.state not in ("stopped", "silent")


def state(folder: Path, worker: str) -> State | None:
    """Read what a worker last said; None when it cannot be read, or never said anything."""
    try:
        with closing(connect_read_only(folder / NAME)) as conn:
            row = conn.execute(STATE, {"worker": worker}).fetchone()
    except sqlite3.Error:
        return None
    return State(*row) if row else None


def own_address(host: str) -> str:
    """Give the address under which a server that listens on `host` is reached from here."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"


def answers(chosen: Settings) -> bool:
    """Tell whether the dashboard answers, be it by asking for the password."""
    host = own_address(chosen.dashboard_host)
    connection = http.client.HTTPConnection(host, chosen.dashboard_port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def trouble(chosen: Settings, service: str) -> str | None:
    """Say what is wrong with a service; None when nothing is."""
    if service == "web":
        return None if answers(chosen) else "The dashboard does not answer."
    said = state(chosen.data_folder, service)
    if said is None:
        return f"{service} has not said anything yet."
    return None if said.is_well else f"{service} is {said.state}."


def main() -> None:
    """Look at the service that the command line names."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    if wrong := trouble(settings.load(), sys.argv[1]):
        raise SystemExit(wrong)


if __name__ == "__main__":
    main()
