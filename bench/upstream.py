"""The benchmark's end of the stand-in proxy."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from bench.processes import end
from bench.workload import Kind
from ledger.settings import ROOT


class Said(NamedTuple):
    """How many events were pushed since the start, and how many wait."""

    pushed: int
    queued: int


class Upstream:
    """A stand-in proxy in a process of its own, so that it does not share our interpreter."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = int(self._line())

    @property
    def name(self) -> str:
        """What the ledger calls it."""
        return f"127.0.0.1:{self.port}"

    def fill(self, kind: Kind, count: int) -> Said:
        """Queue many events."""
        return self._tell(f"fill {kind} {count}")

    def rate(self, rate: float) -> Said:
        """Let so many events happen each second from now on."""
        return self._tell(f"rate {rate}")

    def count(self) -> Said:
        """Ask how far it is."""
        return self._tell("count")

    def _tell(self, line: str) -> Said:
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        pushed, queued = self._line().split()
        return Said(int(pushed), int(queued))

    def _line(self) -> str:
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("The stand-in proxy ended.")
        return line


@contextmanager
def upstream() -> Iterator[Upstream]:
    """Run a stand-in inside the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.standin"],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield Upstream(process)
    finally:
        process.stdin.close()
        end(process)
        process.stdout.close()
