"""The product's real processes, on a folder of the benchmark's."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.feed import ZONE
from ledger.settings import ROOT

KEY = "bench-management-key"
PATIENCE_SECONDS = 20.0
LAST_WORDS = 12


class Place(NamedTuple):
    """Where the processes work: the ledger's folder and their ports."""

    folder: Path
    proxy_port: int
    web_port: int

    @property
    def environment(self) -> dict[str, str]:
        """The environment of each process."""
        ours = ("LEDGER_", "CLIPROXY_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {
            **kept,
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
    """Give the module of each process of the Procfile, by its name."""
    lines = (ROOT / "Procfile").read_text("utf-8").splitlines()
    named = (line.partition(":") for line in lines if ":" in line)
    return {name: command.split()[-1] for name, _, command in named}


@contextmanager
def running(module: str, place: Place) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python -m module` inside the block; its last words are printed when it fails."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env=place.environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
        try:
            yield process
        except BaseException:
            if process.poll():
                said.seek(0)
                print(*said.read().decode().splitlines()[-LAST_WORDS:], sep="\n", file=sys.stderr)
            raise
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process, by force when it does not follow; harmless when it has ended."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
