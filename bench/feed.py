"""Events into a ledger, through the product's own parse and store."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from bench.workload import Workload
from ingest.parse import parse
from ingest.proxies import ProxyRow
from ingest.spool import Batch
from ingest.store import Store
from ledger import prepare
from ledger.keys import load_salt
from ledger.prices import Prices
from runtime import proxies
from runtime.heartbeat import now

T = TypeVar("T")
PROXY = "127.0.0.1:8317"
ZONE = "Europe/Berlin"
BATCH = 2_000
# For building only: what is lost with the power is built again.
HASTY = """
  pragma synchronous = off;
  pragma wal_autocheckpoint = 20000;
  pragma cache_size = -65536;
"""


class Feed:
    """A ledger that is open for writing."""

    def __init__(self, folder: Path, *, hasty: bool) -> None:
        self.conn = prepare(folder, timezone=ZONE)
        if hasty:
            self.conn.executescript(HASTY)
        row = self.conn.execute("select name from proxies order by id limit 1").fetchone()
        self.proxy_id = proxies.find(self.conn, row[0] if row else PROXY)
        self.salt = load_salt(folder)
        self._store = Store(self.conn, self.proxy_id, self.salt, Prices({}))
        self._number = ProxyRow(self.conn, self.proxy_id).last_batch()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.conn.execute("pragma wal_checkpoint(truncate)")
        self.conn.close()

    def keep(self, records: list[bytes]) -> int:
        """Store one batch; gives how many of it are new."""
        self._number += 1
        batch = Batch(self._number, "resp", now(), records)
        return self._store.write(batch, map(parse, records)).stored

    def keep_all(self, workload: Workload, moments: Iterable[float]) -> Iterator[int]:
        """Make up and store an event for each moment; gives the size of each batch."""
        for some in batches(moments, BATCH):
            yield self.keep(workload.payloads(some))


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut into lists of `size`."""
    left = iter(items)
    while some := list(islice(left, size)):
        yield some
