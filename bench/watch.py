"""Memory and write-ahead log, looked at while the load goes on."""

import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from ledger.file import NAME

LOOK_SECONDS = 0.25
# Adding up a process's pages holds it up for a moment.
WEIGH_EVERY = 8


class Watch:
    """Looks at processes, by name, and at a ledger's log inside the block."""

    def __init__(self, folder: Path, pids: dict[str, int]) -> None:
        self._wal = folder / f"{NAME}-wal"
        self._pids = pids
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
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

    def _look(self) -> None:
        turn = 0
        while not self._stop.wait(LOOK_SECONDS):
            if self._wal.exists():
                self.wal_bytes = max(self.wal_bytes, self._wal.stat().st_size)
            if turn % WEIGH_EVERY == 0:
                self.weigh()
            turn += 1

    def weigh(self) -> None:
        """Note the memory of all processes where their sum is the largest so far."""
        memory = {name: resident(pid) for name, pid in self._pids.items()}
        if sum(memory.values()) > sum(self.memory.values()):
            self.memory = memory


def resident(pid: int) -> int:
    """Give a process's bytes of memory: shared pages by share where the system tells."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8").splitlines()
    except FileNotFoundError:
        return psutil.Process(pid).memory_info().rss
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
