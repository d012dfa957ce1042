"""Send messages in a separate process, so that a slow or large answer cannot harm the worker."""

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import IO, NamedTuple

import msgspec

from ledger import Unavailable

TIMEOUT_SECONDS = 30.0
# The reasons of a failure without an HTTP status. The text of a service is never stored.
NO_ANSWER, NOT_REACHED = "no answer", "not reached"
UNKNOWN, REFUSED = "an address that apprise does not know", "refused by the service"
READ_BYTES = 65536


class Message(NamedTuple):
    """A message for one receiver; `severity` is `over` when it reports only the end of alerts."""

    receiver: int
    url: str
    title: str
    body: str
    severity: str

    def __repr__(self) -> str:
        """Return a text without the address, which holds secrets."""
        return f"Message(receiver={self.receiver})"


class Batch(NamedTuple):
    """Messages, at most one for each receiver, and the process id of the worker."""

    parent: int
    messages: list[Message]


class Result(NamedTuple):
    """The result of a message; no error means that it was sent."""

    receiver: int
    error: str | None


class Sender:
    """One batch of messages that is being sent, at most one for each receiver.

    Raises `Unavailable` when no process can be started.
    """

    def __init__(self, messages: Sequence[Message], *, seconds: float = TIMEOUT_SECONDS) -> None:
        self._pending = {message.receiver for message in messages}
        self._deadline = time.monotonic() + seconds
        self._buffer, self._at_end = b"", False
        self._process = _start()
        self._write(messages)

    @property
    def is_done(self) -> bool:
        """Whether every message has a result."""
        return not self._pending

    def results(self, wait: float) -> list[Result]:
        """Return the results since the last call, after at most `wait` seconds."""
        results = self._read(wait)
        self._pending -= {result.receiver for result in results}
        if self._pending and (self._at_end or time.monotonic() > self._deadline):
            results += [Result(receiver, NO_ANSWER) for receiver in sorted(self._pending)]
            self._pending.clear()
        if self.is_done:
            self.end()
        return results

    def end(self) -> None:
        """Kill the process if it still runs."""
        self._process.kill()
        self._process.wait()
        _pipe(self._process.stdout).close()

    def _write(self, messages: Sequence[Message]) -> None:
        """Write the messages to a pipe, since any user of this machine can read a command line."""
        batch = msgspec.json.encode(Batch(os.getpid(), list(messages)))
        # A process that has died already is noticed when its results are read.
        with contextlib.suppress(BrokenPipeError), _pipe(self._process.stdin) as pipe:
            pipe.write(batch)

    def _read(self, wait: float) -> list[Result]:
        """Read the complete lines that have arrived."""
        output = _pipe(self._process.stdout).fileno()
        if not select.select([output], [], [], wait)[0]:
            return []
        data = os.read(output, READ_BYTES)
        self._at_end = not data
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [msgspec.json.decode(line, type=Result) for line in lines]


def _start() -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "alerts.sender_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(f"no process can be started: {error.strerror}") from error


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None, "started with pipes"
    return stream
