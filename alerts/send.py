"""`python -m alerts.send`: send the messages that standard input holds, each to its address.

They come as JSON; what came of each goes out as a line of JSON, as soon as it is known.
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

from alerts.courier import NO_ANSWER, NOT_REACHED, REFUSED, UNKNOWN
from alerts.model import Letter, Result, Round

# Whoever started us has given up by then.
LONGEST_SECONDS = 60
# Whoever is slow to answer may have the message all the same, and would get it again.
PATIENCE_SECONDS = 20.0
KINDS = {"severe": "failure", "warning": "warning", "notice": "info", "over": "success"}
STATUS = re.compile(r"error=(\d{3})\b")
AWAY = re.compile(r"connection|socket|timed? ?out|resolve", re.IGNORECASE)
writing = threading.Lock()


class Said(logging.Handler):
    """What apprise says of each thread's message; it may name addresses, so nobody else hears."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.by_thread: dict[int | None, list[str]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.by_thread.setdefault(record.thread, []).append(record.getMessage())


@contextmanager
def listening() -> Iterator[Said]:
    """Hear apprise inside the block, and let nothing of it out."""
    said, log = Said(), logging.getLogger("apprise")
    log.handlers, log.propagate = [said], False
    yield said


def send(letter: Letter, said: Said, starter: int) -> Result:
    """Send one message, unless whoever started us is gone and would send it again."""
    if os.getppid() != starter:
        return Result(letter.receiver, NO_ANSWER)
    asset = AppriseAsset(app_id="cliproxy-ledger", app_desc="cliproxy-ledger")
    receiver = Apprise(asset=asset)
    if not receiver.add(letter.url):
        return Result(letter.receiver, UNKNOWN)
    for service in receiver:
        service.socket_read_timeout = max(service.socket_read_timeout, PATIENCE_SECONDS)
        if service.overflow_mode == OverflowMode.UPSTREAM:
            # The service would refuse what is too long for it, again and again.
            service.overflow_mode = OverflowMode.TRUNCATE
    worked = receiver.notify(
        title=letter.title,
        body=letter.body,
        notify_type=KINDS[letter.severity],
        body_format=NotifyFormat.TEXT,
    )
    lines = said.by_thread.get(threading.get_ident(), [])
    return Result(letter.receiver, None if worked else reason(lines))


def reason(lines: list[str]) -> str:
    """Give the class of a failure: never what was said, which may hold a token."""
    text = " ".join(lines)
    if status := STATUS.search(text):
        return f"HTTP {status[1]}"
    return NOT_REACHED if AWAY.search(text) else REFUSED


def report(result: Result) -> None:
    """Write a line at once: what was sent must not be sent again."""
    with writing:
        sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
        sys.stdout.buffer.flush()


def main() -> None:
    """Send every message, all at the same time."""
    signal.alarm(LONGEST_SECONDS)
    starter, letters = msgspec.json.decode(sys.stdin.buffer.read(), type=Round)
    with listening() as said, ThreadPoolExecutor(max(len(letters), 1)) as pool:
        for letter in letters:
            pool.submit(lambda each: report(send(each, said, starter)), letter)


if __name__ == "__main__":
    main()
