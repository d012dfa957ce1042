"""Carry messages in a process of its own, so that no service can stall or bloat the worker."""

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence

import msgspec

from alerts.model import Letter, Result, Round
from runtime.errors import Unavailable

SECONDS = 30.0
# Why a message was not sent, beside a status of HTTP; never what a service said.
NO_ANSWER, NOT_REACHED = "no answer", "not reached"
UNKNOWN, REFUSED = "an address that apprise does not know", "refused by the service"
AT_ONCE = 65536


def started() -> subprocess.Popen[bytes]:
    """Start the process that sends; raises `Unavailable`."""
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "alerts.send"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(f"no process can be started: {error.strerror}") from error


class Courier:
    """One round of messages under way, at most one for each receiver.

    Raises `Unavailable` where no process can be started.
    """

    def __init__(self, letters: Sequence[Letter], *, seconds: float = SECONDS) -> None:
        self._left = {letter.receiver for letter in letters}
        self._until = time.monotonic() + seconds
        self._heard, self._is_silent = b"", False
        # Through a pipe: everybody on this machine can read a command line.
        self._process = started()
        self._hand_over(letters)

    @property
    def is_back(self) -> bool:
        """Tell whether the round is over."""
        return not self._left

    def results(self, wait: float) -> list[Result]:
        """Give what came of letters since the last call, after `wait` seconds at the most."""
        found = self._read(wait)
        self._left -= {result.receiver for result in found}
        if self._left and (self._is_silent or time.monotonic() > self._until):
            found += [Result(receiver, NO_ANSWER) for receiver in sorted(self._left)]
            self._left.clear()
        if self.is_back:
            self.end()
        return found

    def end(self) -> None:
        """Let go of the process, by force where it is still at work."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def _hand_over(self, letters: Sequence[Letter]) -> None:
        """Give the letters to the process; one that is dead already will say nothing."""
        with contextlib.suppress(BrokenPipeError), self._process.stdin as to:
            to.write(msgspec.json.encode(Round(os.getpid(), list(letters))))

    def _read(self, wait: float) -> list[Result]:
        """Read the lines that are there."""
        out = self._process.stdout.fileno()
        if not select.select([out], [], [], wait)[0]:
            return []
        more = os.read(out, AT_ONCE)
        self._is_silent = not more
        *lines, self._heard = (self._heard + more).split(b"\n")
        return [msgspec.json.decode(line, type=Result) for line in lines]
