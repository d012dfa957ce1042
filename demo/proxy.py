"""The stand-in itself: its settings, its queue, its faults, and what it heard."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from demo import management, pool, versions
from demo.gate import Gate, Refusal
from demo.listener import Listener
from demo.providers import Providers
from demo.queue import Channel, UsageQueue
from demo.quota import Quotas
from demo.rhythm import Rhythm
from demo.tally import Tally
from demo.threads import from_any_thread

DEFAULT_RETENTION = 60.0
LONGEST_RETENTION = 3600.0
REFRESH = b'{"refresh":true}'
# After so many events a subscriber that reads gets its turn.
STRETCH = 100


class Heard(NamedTuple):
    """One thing a client said; `reply` is the first line of a RESP reply, or the HTTP status."""

    transport: str
    command: str
    arguments: tuple[str, ...]
    reply: str


@dataclass(kw_only=True)
class Proxy:
    """A proxy of any version, on 127.0.0.1. `key` None is management switched off.

    Durations are seconds. The faults (`stall`, `http_fault`, `cut_pops`, and `cut_after`, the bytes
    of a cut reply that are sent, by default half of them) and `statistics`,
    `retention`, `latest`, `routes` may be changed at any time, from any thread.
    """

    key: str | None = field(repr=False)
    port: int = 0
    version: str = "v7.2.140"
    retention: float = DEFAULT_RETENTION
    statistics: bool = True
    home: bool = False
    allow_remote: bool = False
    latest: str | None = "v7.2.140"
    accounts: Sequence[pool.Account] = field(default=pool.ACCOUNTS, repr=False)
    first_byte_seconds: float = 10.0
    records: bool = True
    quotas: Quotas | None = field(default=None, repr=False)
    clock: Callable[[], float] = time.monotonic

    stall: float = 0.0
    http_fault: int | None = None
    cut_pops: int = 0
    cut_after: int | None = None

    heard: list[Heard] = field(default_factory=list, init=False, repr=False)
    popped: list[tuple[bytes, ...]] = field(default_factory=list, init=False, repr=False)
    auth_attempts: int = field(default=0, init=False)
    discarded: int = field(default=0, init=False)
    loop: asyncio.AbstractEventLoop | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        versions.parse(self.version)
        self.started_at = time.time()
        self.routes = management.routes()
        self.tally = Tally()
        quotas = self.quotas or Quotas(Rhythm(0.0), self.started_at)
        self.providers = Providers(self.accounts, quotas)
        self.queue = UsageQueue(retention=lambda: self.kept_for, clock=self.clock)
        self.errors = Channel()
        self._gate = Gate(clock=self.clock, allow_remote=self.allow_remote)
        self._listener = Listener(self)

    @property
    def queued(self) -> int:
        """How many events wait, expired ones included until the next push or pop."""
        return len(self.queue)

    @property
    def auth_failures(self) -> int:
        """Failed attempts over RESP and HTTP, words before AUTH included."""
        return self._gate.failures

    @from_any_thread
    async def push(self, payloads: Sequence[bytes]) -> None:
        """Let events happen: queued, sent to subscribers or discarded when this returns."""
        for number, payload in enumerate(payloads, start=1):
            self._publish(payload)
            if number % STRETCH == 0 and self.queue.channel.subscriptions:
                await asyncio.sleep(0)

    @from_any_thread
    async def push_error(self, payload: bytes) -> None:
        """Publish one message on the `errors` channel."""
        self.errors.publish(payload)

    @from_any_thread
    async def refresh(self) -> None:
        """Tell subscribers that credentials or configuration were read again."""
        self.publish_refresh()

    @from_any_thread
    async def start(self) -> None:
        """Listen, on the same port as the last time."""
        self.port = await self._listener.open(self.port)

    @from_any_thread
    async def stop(self) -> None:
        """Cut every connection and refuse new ones; the queue stays, see `forget`."""
        await self._listener.close()

    @from_any_thread
    async def forget(self) -> None:
        """Lose the queue and all subscribers, as a restart of the proxy does."""
        self._forget()

    @from_any_thread
    async def remove_key(self) -> None:
        """Switch management off while running, which loses the queue."""
        self.key = None
        self._forget()

    @property
    def managed(self) -> bool:
        """Whether there is a management key to ask for."""
        return self.key is not None

    @property
    def kept_for(self) -> float:
        """Seconds an event stays in the queue."""
        if self.retention <= 0 or not self.speaks("retention"):
            return DEFAULT_RETENTION
        return min(self.retention, LONGEST_RETENTION)

    def speaks(self, feature: str) -> bool:
        """Tell whether this version has a feature of `versions.SINCE`."""
        return versions.speaks(self.version, feature)

    def offers(self, endpoint: str) -> bool:
        """Tell whether a management endpoint exists: nothing does in home mode."""
        return self.managed and not self.home and self.speaks(endpoint)

    def check(self, address: str, tried: str) -> Refusal | None:
        """Check a key, empty for none; None means welcome."""
        return self._gate.refusal(address, tried=tried, key=self.key or "")

    def channel(self, name: str) -> Channel | None:
        """Find what can be subscribed to under a lower-case name."""
        if name == "errors" and self.speaks("subscribe errors"):
            return self.errors
        return self.queue.channel if name == "usage" else None

    def pop(self, count: int) -> list[bytes]:
        """Take events from the queue, oldest first."""
        batch = self.queue.pop(count)
        if batch and self.records:
            self.popped.append(tuple(batch))
        return batch

    def cuts(self) -> bool:
        """Tell whether this pop's reply is to be cut in half, and count it."""
        cut = self.cut_pops > 0
        self.cut_pops -= cut
        return cut

    def hear(self, transport: str, command: str, *, arguments: Iterable[str], reply: str) -> None:
        """Note what a client said."""
        if self.records:
            self.heard.append(Heard(transport, command, tuple(arguments), reply))

    async def delay(self) -> None:
        """Wait as long as the stall fault says."""
        if self.stall > 0:
            await asyncio.sleep(self.stall)

    def publish_refresh(self) -> None:
        """Send the control message that says so; it is never queued."""
        if self.speaks("control messages"):
            self.queue.channel.publish(REFRESH)

    def _publish(self, payload: bytes) -> None:
        self.tally.add(payload)
        if self.statistics and self.managed:
            self.queue.append(payload)
        else:
            self.discarded += 1

    def _forget(self) -> None:
        self.queue.clear()
        self.errors.close()
