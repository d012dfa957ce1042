"""The loop of every worker: its rests, its back-off and its heartbeat are only here."""

import logging
from collections.abc import Callable
from typing import Protocol, TypeVar

from ledger import Unavailable
from ledger.database import FileIdentity
from runtime.heartbeat import EVERY_SECONDS, Heartbeat, now
from runtime.refusals import Refused
from runtime.stop import Stop

log = logging.getLogger(__name__)

FIRST_WAIT_SECONDS, MAX_WAIT_SECONDS = 1.0, 60.0
Result = TypeVar("Result")


class Job(Protocol):
    """The work of a worker, in steps."""

    def step(self) -> int:
        """Do one piece of work; returns how much was done, 0 when there is nothing to do.

        Raises `Unavailable` or `Refused`.
        """

    def status_note(self) -> str | None:
        """Return a sentence about a problem that does not stop the work; None without one."""

    def failed(self, error: Unavailable | Refused) -> None:
        """Handle the failure of the last step."""

    def close(self) -> None:
        """Close files and connections."""


def run(
    job: Job,
    *,
    stop: Stop,
    heartbeat: Heartbeat,
    rest: float,
    once: bool = False,
    identity: FileIdentity | None = None,
) -> int:
    """Repeat the job's step until it is time to stop; rest for `rest` seconds when it did nothing.

    With `once`, end at the first step that does nothing or fails. Returns an exit status. Raises
    `Replaced` when `identity` shows that another file has replaced the ledger.
    """
    wait = FIRST_WAIT_SECONDS
    heartbeat.beat("working")
    while not stop.check():
        try:
            if identity:
                identity.check()
            done = job.step()
        except (Unavailable, Refused) as error:
            job.failed(error)
            heartbeat.beat("refused" if isinstance(error, Refused) else "waiting", str(error))
            if once:
                return 1
            stop.rest(seconds_to_wait(error, wait))
            wait = min(wait * 2, MAX_WAIT_SECONDS)
            continue
        wait = FIRST_WAIT_SECONDS
        heartbeat.beat("working", job.status_note())
        if not done and once:
            break
        if not done:
            rest_with_heartbeat(rest, stop, heartbeat)
    return 0


def rest_with_heartbeat(seconds: float, stop: Stop, heartbeat: Heartbeat) -> None:
    """Rest, and write the heartbeat every few seconds during the rest."""
    while seconds > 0 and not stop.check():
        stop.rest(min(seconds, EVERY_SECONDS))
        seconds -= EVERY_SECONDS
        heartbeat.repeat()


def seconds_to_wait(error: Unavailable | Refused, wait: float) -> float:
    """Return how many seconds to wait before the next step."""
    if isinstance(error, Refused):
        # Try a step once a minute: another process may have deleted the refusal.
        return min(max((error.retry_at - now()) / 1000, FIRST_WAIT_SECONDS), MAX_WAIT_SECONDS)
    return wait


def retry_until_ready(
    make: Callable[[], Result], *, name: str, stop: Stop, once: bool
) -> Result | None:
    """Return what `make` returns, retrying while it raises `Unavailable`; None at a stop.

    With `once` there is no retry: the worker `name` ends with a sentence.
    """
    wait = FIRST_WAIT_SECONDS
    while not stop.check():
        try:
            return make()
        except Unavailable as error:
            if once:
                raise SystemExit(f"{name}: {error}.") from error
            log.warning("waiting: %s", error)
        stop.rest(wait)
        wait = min(wait * 2, MAX_WAIT_SECONDS)
    return None
