"""The proxy's usage queue: oldest first, short-lived, and starved by any subscriber."""

import asyncio
from collections import deque
from collections.abc import Callable

BUFFER = 256


class Subscription:
    """What one subscriber has still to be sent: at most `BUFFER` messages."""

    def __init__(self, greeting: bytes | None = None) -> None:
        self._messages = deque([greeting] if greeting else [])
        self._news = asyncio.Event()
        self._news.set()
        self.closed = False

    def offer(self, payload: bytes) -> bool:
        """Buffer one message; false when the subscriber was too slow and is dropped."""
        if len(self._messages) >= BUFFER:
            self.close()
            return False
        self._messages.append(payload)
        self._news.set()
        return True

    def close(self) -> None:
        """End the subscription; what is buffered can still be taken."""
        self.closed = True
        self._news.set()

    async def take(self) -> bytes | None:
        """Wait for the next message; None once closed and empty."""
        while not self._messages:
            if self.closed:
                return None
            self._news.clear()
            await self._news.wait()
        return self._messages.popleft()


class Channel:
    """Subscribers who each get a copy of what is published."""

    def __init__(self) -> None:
        self.subscriptions: list[Subscription] = []

    def subscribe(self, greeting: bytes | None = None) -> Subscription:
        """Add a subscriber, with a message for it that comes before anything else."""
        subscription = Subscription(greeting)
        self.subscriptions.append(subscription)
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """Remove a subscriber, dropped or not."""
        subscription.close()
        if subscription in self.subscriptions:
            self.subscriptions.remove(subscription)

    def publish(self, payload: bytes) -> bool:
        """Give every subscriber a copy; false when there is none."""
        listening = bool(self.subscriptions)
        self.subscriptions = [one for one in self.subscriptions if one.offer(payload)]
        return listening

    def close(self) -> None:
        """Drop all subscribers."""
        for subscription in self.subscriptions:
            subscription.close()
        self.subscriptions = []


class UsageQueue:
    """Payloads with the moment they came, dropped silently once older than the retention.

    `retention` answers seconds at every call, since it can be changed while running.
    """

    def __init__(self, *, retention: Callable[[], float], clock: Callable[[], float]) -> None:
        self._items: deque[tuple[float, bytes]] = deque()
        self._retention = retention
        self._clock = clock
        self.channel = Channel()

    def __len__(self) -> int:
        return len(self._items)

    def append(self, payload: bytes) -> None:
        """Queue one payload, unless somebody subscribes: then only subscribers get it."""
        if self.channel.publish(payload):
            return
        self._expire()
        self._items.append((self._clock(), payload))

    def pop(self, count: int) -> list[bytes]:
        """Take up to `count` payloads, oldest first. They are gone then."""
        self._expire()
        take = self._items.popleft
        return [take()[1] for _ in range(min(count, len(self._items)))]

    def clear(self) -> None:
        """Forget everything and drop every subscriber."""
        self._items.clear()
        self.channel.close()

    def _expire(self) -> None:
        oldest = self._clock() - self._retention()
        while self._items and self._items[0][0] < oldest:
            self._items.popleft()
