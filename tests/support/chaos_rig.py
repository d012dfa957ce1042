"""What the fault suite shares: its size, exact accounting at the fake proxy, and its table.

`CHAOS_SIZE` is how many events a burst has, `CHAOS_REPORT` the document whose table is written.
"""

import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from demo.fake_proxy import FakeProxy
from tests.support.events import burst, digest

SIZE = int(os.environ.get("CHAOS_SIZE", "2000"))
REPORT = os.environ.get("CHAOS_REPORT", "")
TABLE = re.compile(r"(<!-- faults -->\n)(.*?)(<!-- /faults -->)", re.DOTALL)
HEAD = "| fault | result | counts |\n| --- | --- | --- |\n"
LARGE = SIZE >= 50_000


class Account(NamedTuple):
    """Counts of the events of a run: each batch that the proxy delivered is stored or missing."""

    pushed: int
    handed_out: int
    queued: int
    stored: int
    batches: int
    absent: int
    torn: int
    at_risk: int


def account(home, proxy: FakeProxy, pushed: int) -> Account:
    """Count at the fake proxy and in the ledger."""
    stored = {hash_ for (hash_,) in home.query("select event_hash from usage_events")}
    batches = [
        (sum(digest(event) in stored for event in batch), len(batch)) for batch in proxy.popped
    ]
    [(at_risk,)] = home.query("select coalesce(sum(batches_at_risk), 0) from gaps")
    return Account(
        pushed=pushed,
        handed_out=sum(size for _, size in batches),
        queued=proxy.queued,
        stored=len(stored),
        batches=len(batches),
        absent=sum(count == 0 for count, _ in batches),
        torn=sum(count not in (0, size) for count, size in batches),
        at_risk=at_risk,
    )


def must_add_up(home, found: Account) -> None:
    """Fail unless the counts of all pushed events agree and `ledger check` succeeds."""
    assert found.pushed == found.handed_out + found.queued, found
    assert found.torn == 0, found
    assert found.absent <= found.at_risk, found
    assert home.count() == found.stored
    home.run("ledger", "check")


def nothing_lost(home, found: Account) -> None:
    """Fail unless every event is in the ledger, once."""
    must_add_up(home, found)
    assert (found.absent, found.stored) == (0, found.pushed), found


def record(fault: str, result: str, counts: object) -> None:
    """Write a row of the table, in place of the one that the fault had."""
    counts_text = counts if isinstance(counts, str) else in_words(counts)
    print(f"\n{fault}: {result}; {counts_text}")
    if not REPORT:
        return
    file = Path(REPORT)
    text = file.read_text("utf-8")
    rows = dict(re.findall(r"^(\| ([^|]+?) \|.*\|)$", TABLE.search(text)[2], re.MULTILINE))
    table = {name: row for row, name in rows.items() if name not in ("fault", "---")}
    table[fault] = f"| {fault} | {result} | {counts_text} |"
    body = HEAD + "".join(f"{row}\n" for row in table.values())
    file.write_text(TABLE.sub(lambda match: f"{match[1]}{body}{match[3]}", text), "utf-8")


def in_words(found: Account) -> str:
    """Return an account as text for the table."""
    return (
        f"{found.pushed:,} events, {found.batches:,} batches delivered, {found.stored:,} stored, "
        f"{found.torn} stored in part, {found.absent} missing, {found.at_risk} recorded as at risk"
    )


def stopped(process: subprocess.Popen[str]) -> str:
    """Stop a worker and return its log."""
    process.terminate()
    return process.communicate(timeout=30)[0]


def events(count: int, *, part: int = 0) -> list[bytes]:
    """Return distinct events; each part has different ones."""
    return burst((part + 1) * count)[part * count :]


@contextmanager
def pushing(proxy: FakeProxy, made: list[bytes], *, rate: int) -> Iterator[Callable[[], int]]:
    """Push events at a rate inside the block; yield a function that returns their number."""
    stop, done = threading.Event(), [0]
    step = max(rate // 20, 1)

    def push() -> None:
        began = time.monotonic()
        for at in range(0, len(made), step):
            proxy.push(made[at : at + step])
            done[0] = min(at + step, len(made))
            if stop.wait(max(began + done[0] / rate - time.monotonic(), 0)):
                return

    thread = threading.Thread(target=push)
    thread.start()
    try:
        yield lambda: done[0]
    finally:
        stop.set()
        thread.join()
