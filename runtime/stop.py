"""When to stop: at a signal, or when the process that started us is gone."""

import contextlib
import os
import select
import signal
import socket
import time
from types import FrameType, TracebackType
from typing import Self

import psutil

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_SECONDS = 1.0


class Stop:
    """Becomes set at SIGINT, SIGTERM, SIGHUP or the starter's end; every rest ends at once then.

    Signals come to the main thread alone; any thread may look, and rest.
    """

    def __init__(self) -> None:
        self.is_set = self.is_told = False
        self._starter = starter()
        self._waking, self._woken = socket.socketpair()

    def __enter__(self) -> Self:
        for end in (self._waking, self._woken):
            end.setblocking(False)
        # An event or condition could deadlock here: the handler runs inside the waiting thread.
        signal.set_wakeup_fd(self._waking.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        self._waking.close()
        self._woken.close()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.is_set = self.is_told = True

    def now(self) -> None:
        """Let every thread stop, though nobody outside has asked for it."""
        self.is_set = True
        with contextlib.suppress(OSError):
            self._waking.send(b"\0")

    def rest(self, seconds: float) -> None:
        """Wait until `seconds` have passed or it is time to stop."""
        until = time.monotonic() + seconds
        while not self.look() and (left := until - time.monotonic()) > 0:
            # What wakes one thread stays there to be read, and wakes the others too.
            if select.select([self._woken], [], [], min(left, LOOK_SECONDS))[0]:
                self.is_set = True

    def look(self) -> bool:
        """Tell whether to stop, after a look at the process that started us."""
        if self._starter and is_gone(self._starter):
            self.is_set = self.is_told = True
        return self.is_set


def starter() -> psutil.Process | None:
    """Find the process whose end must be ours, if the environment names one."""
    number = os.environ.get("LEDGER_PARENT_PID", "")
    try:
        return psutil.Process(int(number)) if number else None
    except (ValueError, psutil.NoSuchProcess):
        raise SystemExit("The process that started this one is gone already.") from None


def is_gone(process: psutil.Process) -> bool:
    """Tell whether a process has ended, reaped or not."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
