"""Stop a worker at a signal, or when its parent process has ended."""

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
CHECK_SECONDS = 1.0


class Stop:
    """Set by SIGINT, SIGTERM, SIGHUP or the end of the parent process; ends every `rest` at once.

    Signals reach only the main thread; any thread may call `check` and `rest`. `is_requested` is
    false when only this process itself has called `set`.
    """

    def __init__(self) -> None:
        self.is_set = self.is_requested = False
        self._parent = parent_process()
        self._writer, self._reader = socket.socketpair()

    def __enter__(self) -> Self:
        for end in (self._writer, self._reader):
            end.setblocking(False)
        # An event or condition could deadlock here: the handler runs inside the waiting thread.
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
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
        self.close()

    def close(self) -> None:
        """Close the sockets that wake resting threads."""
        self._writer.close()
        self._reader.close()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.is_set = self.is_requested = True

    def set(self) -> None:
        """Stop every thread, for a reason inside this process."""
        self.is_set = True
        with contextlib.suppress(OSError):
            self._writer.send(b"\0")

    def rest(self, seconds: float) -> None:
        """Wait until `seconds` have passed or it is time to stop."""
        deadline = time.monotonic() + seconds
        while not self.check() and (remaining := deadline - time.monotonic()) > 0:
            # The byte in the socket is not read, so that it wakes the other threads too.
            if select.select([self._reader], [], [], min(remaining, CHECK_SECONDS))[0]:
                self.is_set = True

    def check(self) -> bool:
        """Return whether to stop, after a check of the parent process."""
        if self._parent and has_ended(self._parent):
            self.is_set = self.is_requested = True
        return self.is_set


def parent_process() -> psutil.Process | None:
    """Return the parent process that the environment names, with which this one ends; else None.

    Raises `SystemExit` with a sentence when it has ended already.
    """
    number = os.environ.get("LEDGER_PARENT_PID", "")
    try:
        return psutil.Process(int(number)) if number else None
    except (ValueError, psutil.NoSuchProcess):
        raise SystemExit("The process that started this one has ended already.") from None


def has_ended(process: psutil.Process) -> bool:
    """Return whether a process has ended, reaped or not."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
