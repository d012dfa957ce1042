"""The state of the fake proxy: settings, usage queue, counters, failed logins, and its log."""

import asyncio
import hmac
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from demo import versions
from demo.accounts import ACCOUNTS, Account
from demo.load_curve import LoadCurve
from demo.payload import Fail
from demo.providers import Providers
from demo.quotas import Quotas

DEFAULT_RETENTION = 60.0
MAX_RETENTION = 3600.0
REFRESH = b'{"refresh":true}'
BUFFER = 256
BUCKET_SECONDS, BUCKETS = 600, 20
FAILURES_BEFORE_BAN = 5
BAN_SECONDS = 30 * 60
LOCAL = ("127.0.0.1", "::1")


class Subscription:
    """The messages that one subscriber has not yet been sent: at most `BUFFER`."""

    def __init__(self, greeting: bytes | None = None) -> None:
        self._messages = deque([greeting] if greeting else [])
        self._changed = asyncio.Event()
        self._changed.set()
        self.closed = False

    def offer(self, payload: bytes) -> bool:
        """Buffer one message; close the subscription and return False when the buffer is full."""
        if len(self._messages) >= BUFFER:
            self.close()
            return False
        self._messages.append(payload)
        self._changed.set()
        return True

    def close(self) -> None:
        """End the subscription; buffered messages can still be taken."""
        self.closed = True
        self._changed.set()

    async def take(self) -> bytes | None:
        """Wait for the next message; None once closed and empty."""
        while not self._messages:
            if self.closed:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._messages.popleft()


class Channel:
    """Subscribers that each get a copy of every published message."""

    def __init__(self) -> None:
        self.subscriptions: list[Subscription] = []

    def subscribe(self, greeting: bytes | None = None) -> Subscription:
        """Add a subscriber; `greeting` is its first message."""
        subscription = Subscription(greeting)
        self.subscriptions.append(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Remove a subscriber, also one that was dropped."""
        subscription.close()
        if subscription in self.subscriptions:
            self.subscriptions.remove(subscription)

    def publish(self, payload: bytes) -> bool:
        """Send every subscriber a copy; return False when there is no subscriber."""
        had_subscribers = bool(self.subscriptions)
        self.subscriptions = [each for each in self.subscriptions if each.offer(payload)]
        return had_subscribers

    def close(self) -> None:
        """Drop all subscribers."""
        for subscription in self.subscriptions:
            subscription.close()
        self.subscriptions = []


class UsageQueue:
    """The usage queue: oldest first, and payloads older than the retention are dropped.

    `retention` returns seconds; it is called each time, since the setting can change.
    """

    def __init__(self, *, retention: Callable[[], float], clock: Callable[[], float]) -> None:
        self._items: deque[tuple[float, bytes]] = deque()
        self._retention = retention
        self._clock = clock
        self.channel = Channel()

    def __len__(self) -> int:
        return len(self._items)

    def append(self, payload: bytes) -> None:
        """Queue one payload, unless there are subscribers: then only they get it."""
        if self.channel.publish(payload):
            return
        self._expire()
        self._items.append((self._clock(), payload))

    def pop(self, count: int) -> list[bytes]:
        """Remove and return up to `count` payloads, oldest first."""
        self._expire()
        take = self._items.popleft
        return [take()[1] for _ in range(min(count, len(self._items)))]

    def clear(self) -> None:
        """Drop all payloads and subscribers."""
        self._items.clear()
        self.channel.close()

    def _expire(self) -> None:
        oldest = self._clock() - self._retention()
        while self._items and self._items[0][0] < oldest:
            self._items.popleft()


class Outcome(msgspec.Struct):
    """The fields of an event that the proxy itself counts."""

    auth_index: str = ""
    failed: bool = False
    fail: Fail = msgspec.field(default_factory=Fail)


@dataclass
class CredentialCounts:
    """The attempts of one credential since the start; `last` is the outcome of the latest one."""

    success: int = 0
    failed: int = 0
    last: Outcome = field(default_factory=Outcome)
    updated_at: float = 0.0
    buckets: Counter[tuple[int, bool]] = field(default_factory=Counter)

    def recent(self, now: float) -> list[dict[str, Any]]:
        """Return the last 20 ten-minute buckets, oldest first, in the server's local time."""
        latest = int(now // BUCKET_SECONDS)
        return [self._bucket(number) for number in range(latest - BUCKETS + 1, latest + 1)]

    def _bucket(self, number: int) -> dict[str, Any]:
        start, end = (_local_time((number + step) * BUCKET_SECONDS) for step in (0, 1))
        return {
            "time": f"{start}-{end}",
            "success": self.buckets[number, False],
            "failed": self.buckets[number, True],
        }


class Counters:
    """Counts of attempts by `auth_index`."""

    def __init__(self) -> None:
        self._counts: dict[str, CredentialCounts] = {}
        self._decode = msgspec.json.Decoder(Outcome).decode

    def of(self, auth_index: str) -> CredentialCounts:
        """Return the counts of one credential, all zero before its first attempt."""
        return self._counts.get(auth_index, CredentialCounts())

    def add(self, payload: bytes) -> None:
        """Count one event; ignore a payload that is not an event."""
        try:
            outcome = self._decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        now = time.time()
        counts = self._counts.setdefault(outcome.auth_index, CredentialCounts())
        counts.success += not outcome.failed
        counts.failed += outcome.failed
        counts.last = outcome
        counts.updated_at = now
        counts.buckets[int(now // BUCKET_SECONDS), outcome.failed] += 1


class Refusal(NamedTuple):
    """A refused login: HTTP status and the proxy's text."""

    status: int
    text: str
    banned: bool = False


@dataclass
class _Address:
    failures: int = 0
    banned_until: float = 0.0


@dataclass
class AuthBan:
    """The key check that RESP and HTTP share: five failures ban an address for half an hour.

    `clock` returns monotonic seconds.
    """

    clock: Callable[[], float]
    allow_remote: bool = False
    failures: int = 0
    _addresses: dict[str, _Address] = field(default_factory=dict)

    def refusal(self, address: str, *, tried: str, key: str) -> Refusal | None:
        """Check a key; None accepts it and resets the failures of the address.

        A ban refuses the right key too, and further attempts do not extend it.
        """
        client = self._addresses.setdefault(address, _Address())
        left = client.banned_until - self.clock()
        if left > 0:
            return Refusal(403, _ban_text(left), banned=True)
        if address not in LOCAL and not self.allow_remote:
            return Refusal(403, "remote management disabled")
        if tried and hmac.compare_digest(tried.encode(), key.encode()):
            client.failures = 0
            return None
        self._fail(client)
        return Refusal(401, "invalid management key" if tried else "missing management key")

    def _fail(self, client: _Address) -> None:
        self.failures += 1
        client.failures += 1
        if client.failures >= FAILURES_BEFORE_BAN:
            client.failures = 0
            client.banned_until = self.clock() + BAN_SECONDS


class ClientCommand(NamedTuple):
    """One command of a client; `reply` is the first line of a RESP reply, or the HTTP status."""

    transport: str
    command: str
    arguments: tuple[str, ...]
    reply: str


@dataclass(kw_only=True)
class ProxyState:
    """The settings, faults and memory of a proxy of any version; `key` None: no management.

    Durations are seconds. The faults (`stall`, `http_fault`, `cut_pops`, and `cut_after`: how many
    bytes of a cut reply are sent, half of them by default), `statistics`, `retention` and `latest`
    may be changed at any time, from any thread. With `keeps_log` False, `commands` and `popped`
    stay empty, for long runs.
    """

    key: str | None = field(repr=False)
    port: int = 0
    version: str = "v7.2.140"
    retention: float = DEFAULT_RETENTION
    statistics: bool = True
    home: bool = False
    allow_remote: bool = False
    latest: str | None = "v7.2.140"
    accounts: Sequence[Account] = field(default=ACCOUNTS, repr=False)
    first_byte_seconds: float = 10.0
    keeps_log: bool = True
    quotas: Quotas | None = field(default=None, repr=False)
    clock: Callable[[], float] = time.monotonic

    stall: float = 0.0
    http_fault: int | None = None
    cut_pops: int = 0
    cut_after: int | None = None

    commands: list[ClientCommand] = field(default_factory=list, init=False, repr=False)
    popped: list[tuple[bytes, ...]] = field(default_factory=list, init=False, repr=False)
    auth_attempts: int = field(default=0, init=False)
    discarded: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        versions.parse(self.version)
        self.started_at = time.time()
        self.counters = Counters()
        quotas = self.quotas or Quotas(LoadCurve(0.0), self.started_at)
        self.providers = Providers(self.accounts, quotas)
        self.queue = UsageQueue(retention=lambda: self.effective_retention, clock=self.clock)
        self.errors = Channel()
        self._ban = AuthBan(clock=self.clock, allow_remote=self.allow_remote)

    @property
    def queued(self) -> int:
        """The length of the queue, expired events included until the next push or pop."""
        return len(self.queue)

    @property
    def auth_failures(self) -> int:
        """The failed logins over RESP and HTTP, commands before AUTH included."""
        return self._ban.failures

    @property
    def has_management(self) -> bool:
        """Whether a management key is set."""
        return self.key is not None

    @property
    def effective_retention(self) -> float:
        """The seconds an event stays in the queue."""
        if self.retention <= 0 or not self.has_feature("retention"):
            return DEFAULT_RETENTION
        return min(self.retention, MAX_RETENTION)

    def has_feature(self, feature: str) -> bool:
        """Return whether this version has a feature of `versions.SINCE`."""
        return versions.has_feature(self.version, feature)

    def has_endpoint(self, endpoint: str) -> bool:
        """Return whether a management endpoint exists; none does in home mode."""
        return self.has_management and not self.home and self.has_feature(endpoint)

    def refusal(self, address: str, tried: str) -> Refusal | None:
        """Check a key, empty for none; None accepts it."""
        return self._ban.refusal(address, tried=tried, key=self.key or "")

    def channel(self, name: str) -> Channel | None:
        """Return the channel of a lower-case name; None when there is none."""
        if name == "errors" and self.has_feature("subscribe errors"):
            return self.errors
        return self.queue.channel if name == "usage" else None

    def publish(self, payload: bytes) -> None:
        """Count an event, and queue it or send it to subscribers, or discard it."""
        self.counters.add(payload)
        if self.statistics and self.has_management:
            self.queue.append(payload)
        else:
            self.discarded += 1

    def publish_refresh(self) -> None:
        """Send subscribers the control message that settings or credentials were read again."""
        if self.has_feature("control messages"):
            self.queue.channel.publish(REFRESH)

    def pop(self, count: int) -> list[bytes]:
        """Remove and return up to `count` events, oldest first."""
        batch = self.queue.pop(count)
        if batch and self.keeps_log:
            self.popped.append(tuple(batch))
        return batch

    def cut_next_pop(self) -> bool:
        """Return whether this pop's reply is to be cut off, and count it."""
        cut = self.cut_pops > 0
        self.cut_pops -= cut
        return cut

    def log_command(
        self, transport: str, command: str, *, arguments: Iterable[str], reply: str
    ) -> None:
        """Add a client's command to the log."""
        if self.keeps_log:
            self.commands.append(ClientCommand(transport, command, tuple(arguments), reply))

    async def wait_stall(self) -> None:
        """Wait for the seconds of the stall fault."""
        if self.stall > 0:
            await asyncio.sleep(self.stall)

    def drop_queue(self) -> None:
        """Drop the queue and all subscribers."""
        self.queue.clear()
        self.errors.close()


def _ban_text(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    left = f"{minutes}m{rest}s" if minutes else f"{rest}s"
    return f"IP banned due to too many failed attempts. Try again in {left}"


def _local_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%H:%M")
