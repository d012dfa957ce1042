"""The one loop of a worker: it alone knows time, back-off and when to beat."""

import logging
from collections.abc import Callable
from typing import Protocol, TypeVar

from ledger.presence import Presence
from runtime.errors import Refused, Unavailable
from runtime.heartbeat import EVERY_SECONDS, Heartbeat, now
from runtime.stop import Stop

log = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
Made = TypeVar("Made")


class Job(Protocol):
    """What a worker does."""

    def step(self) -> int:
        """Do one piece of work; tell how much was done, 0 meaning that there is nothing to do.

        Raises `Unavailable` or `Refused`.
        """

    def remark(self) -> str | None:
        """Say in a sentence what is not as it should be while the work goes on."""

    def failed(self, error: Unavailable | Refused) -> None:
        """Take note that the last step could not be done."""

    def close(self) -> None:
        """Let go of files and connections."""


def run(
    job: Job,
    *,
    stop: Stop,
    heartbeat: Heartbeat,
    rest: float,
    once: bool = False,
    presence: Presence | None = None,
) -> int:
    """Repeat the job's step until it is time to stop; rest for `rest` seconds when it did nothing.

    With `once`, end at the first step that does nothing or fails. Returns an exit status. Raises
    `Replaced` when the ledger file, whose `presence` is looked at, has become another.
    """
    wait = FIRST_WAIT
    heartbeat.beat("working")
    while not stop.look():
        try:
            if presence:
                presence.check()
            done = job.step()
        except (Unavailable, Refused) as error:
            job.failed(error)
            heartbeat.beat("refused" if isinstance(error, Refused) else "waiting", str(error))
            if once:
                return 1
            stop.rest(pause(error, wait))
            wait = min(wait * 2, LONGEST_WAIT)
            continue
        wait = FIRST_WAIT
        heartbeat.beat("working", job.remark())
        if not done and once:
            break
        if not done:
            rest_alive(rest, stop, heartbeat)
    return 0


def rest_alive(seconds: float, stop: Stop, heartbeat: Heartbeat) -> None:
    """Rest, however long, and go on giving signs of life."""
    while seconds > 0 and not stop.look():
        stop.rest(min(seconds, EVERY_SECONDS))
        seconds -= EVERY_SECONDS
        heartbeat.again()


def pause(error: Unavailable | Refused, wait: float) -> float:
    """Tell how many seconds to wait before the next try."""
    if isinstance(error, Refused):
        # Wake up now and then: another process may have lifted the refusal.
        return min(max((error.retry_at - now()) / 1000, FIRST_WAIT), LONGEST_WAIT)
    return wait


def patiently(make: Callable[[], Made], *, name: str, stop: Stop, once: bool) -> Made | None:
    """Make what a loop needs, waiting for what is away; None when it is time to stop.

    With `once`, nothing is waited for: a sentence ends the worker of that name.
    """
    wait = FIRST_WAIT
    while not stop.look():
        try:
            return make()
        except Unavailable as error:
            if once:
                raise SystemExit(f"{name}: {error}.") from error
            log.warning("waiting: %s", error)
        stop.rest(wait)
        wait = min(wait * 2, LONGEST_WAIT)
    return None
