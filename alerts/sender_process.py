"""`python -m alerts.sender_process`: send the messages that standard input holds, as JSON.

The result of each message is written as a line of JSON as soon as there is one.
"""

import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import msgspec
from apprise import Apprise, AppriseAsset, NotifyFormat, OverflowMode

from alerts.sender import NO_ANSWER, NOT_REACHED, REFUSED, UNKNOWN, Batch, Message, Result

# The worker has given up by then.
TOTAL_TIMEOUT_SECONDS = 60
# A service that answers late may have delivered the message, and would get it again.
TIMEOUT_SECONDS = 20.0
KINDS = {"severe": "failure", "warning": "warning", "notice": "info", "over": "success"}
STATUS = re.compile(r"error=(\d{3})\b")
CONNECTION = re.compile(r"connection|socket|timed? ?out|resolve", re.IGNORECASE)
output_lock = threading.Lock()


class ThreadLog(logging.Handler):
    """The log lines of apprise by thread; they may hold addresses, so they are not passed on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.by_thread: dict[int | None, list[str]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Store a line."""
        self.by_thread.setdefault(record.thread, []).append(record.getMessage())


@contextmanager
def capturing() -> Iterator[ThreadLog]:
    """Capture the log of apprise inside the block."""
    captured, log = ThreadLog(), logging.getLogger("apprise")
    log.handlers, log.propagate = [captured], False
    yield captured


def send(message: Message, captured: ThreadLog, parent: int) -> Result:
    """Send one message, unless the parent process has ended: its successor sends it again."""
    if os.getppid() != parent:
        return Result(message.receiver, NO_ANSWER)
    asset = AppriseAsset(app_id="cliproxy-ledger", app_desc="cliproxy-ledger")
    receiver = Apprise(asset=asset)
    if not receiver.add(message.url):
        return Result(message.receiver, UNKNOWN)
    for service in receiver:
        service.socket_read_timeout = max(service.socket_read_timeout, TIMEOUT_SECONDS)
        if service.overflow_mode == OverflowMode.UPSTREAM:
            # The service would refuse a message that is too long for it, at every retry.
            service.overflow_mode = OverflowMode.TRUNCATE
    worked = receiver.notify(
        title=message.title,
        body=message.body,
        notify_type=KINDS[message.severity],
        body_format=NotifyFormat.TEXT,
    )
    lines = captured.by_thread.get(threading.get_ident(), [])
    return Result(message.receiver, None if worked else reason(lines))


def reason(lines: list[str]) -> str:
    """Return the kind of a failure: never the log line itself, which may hold a token."""
    text = " ".join(lines)
    if status := STATUS.search(text):
        return f"HTTP {status[1]}"
    return NOT_REACHED if CONNECTION.search(text) else REFUSED


def report(result: Result) -> None:
    """Write a result at once: a sent message must not be sent again."""
    with output_lock:
        sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
        sys.stdout.buffer.flush()


def main() -> None:
    """Send every message, all at the same time."""
    signal.alarm(TOTAL_TIMEOUT_SECONDS)
    parent, messages = msgspec.json.decode(sys.stdin.buffer.read(), type=Batch)
    with capturing() as captured, ThreadPoolExecutor(max(len(messages), 1)) as threads:
        for message in messages:
            threads.submit(lambda each: report(send(each, captured, parent)), message)


if __name__ == "__main__":
    main()
