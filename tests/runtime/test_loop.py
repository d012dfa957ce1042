"""The loop works, waits, backs off and stops, whatever its job does."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ledger import Unavailable
from ledger.data_folder import prepare
from runtime.heartbeat import Heartbeat, now
from runtime.loop import rest_with_heartbeat, run, seconds_to_wait
from runtime.refusals import Refused
from tests.support.home import ROOT

AWAY = Unavailable("it is away")
REST = 0.25


class Job:
    """A job whose steps go as planned; when the plan is done, there is nothing to do."""

    def __init__(self, *plan: int | Exception, note: str | None = None) -> None:
        self.plan, self.note = list(plan), note
        self.steps, self.failures = 0, []

    def step(self) -> int:
        self.steps += 1
        outcome = self.plan.pop(0) if self.plan else 0
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def status_note(self) -> str | None:
        return self.note

    def failed(self, error: Unavailable | Refused) -> None:
        self.failures.append(error)


class Rests:
    """A stop that records the length of each rest, and is set after `most` rests."""

    def __init__(self, most: int) -> None:
        self.most, self.taken = most, []

    def check(self) -> bool:
        return len(self.taken) >= self.most

    def rest(self, seconds: float) -> None:
        self.taken.append(seconds)


@pytest.fixture
def conn(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """An empty ledger."""
    with closing(prepare(tmp_path, timezone="UTC")) as opened:
        yield opened


def rests(conn: sqlite3.Connection, job: Job, most: int) -> list[float]:
    """Run a job for some rests and give their lengths."""
    stop = Rests(most)
    assert run(job, stop=stop, heartbeat=Heartbeat(conn, "test"), rest=REST) == 0
    return stop.taken


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        pytest.param([5, 5, 0, 5], [REST, REST], id="no-rest-while-there-is-something"),
        pytest.param([AWAY] * 9, [1, 2, 4, 8, 16, 32, 60, 60, 60], id="back-off"),
        pytest.param([AWAY, AWAY, 5, AWAY], [1, 2, 1], id="success-resets"),
        pytest.param([AWAY, AWAY, 0, AWAY, AWAY], [1, 2, REST, 1, 2], id="emptiness-resets"),
    ],
)
def test_rests_grow_while_steps_fail(
    conn: sqlite3.Connection, plan: list[int | Exception], expected: list[float]
) -> None:
    assert rests(conn, Job(*plan), len(expected)) == expected


def test_a_long_rest_writes_the_heartbeat() -> None:
    stop, beats = Rests(9), []

    class Beats:
        def repeat(self) -> None:
            beats.append("again")

    rest_with_heartbeat(12, stop, Beats())
    assert stop.taken == [5, 5, 2]
    assert beats == ["again"] * 3
    rest_with_heartbeat(600, stop, Beats())
    assert len(stop.taken) == 9


@pytest.mark.parametrize(("left", "expected"), [(3600, 60), (30, 30), (0, 1), (-3600, 1)])
def test_a_refusal_is_waited_out_but_looked_at_each_minute(left: int, expected: float) -> None:
    refused = Refused("no", retry_at=now() + left * 1000)
    assert seconds_to_wait(refused, 8) == pytest.approx(expected, abs=0.5)


def test_the_job_handles_every_failure(conn: sqlite3.Connection) -> None:
    job = Job(AWAY, 1, Refused("no", retry_at=0))
    rests(conn, job, 3)
    assert [str(failure) for failure in job.failures] == ["it is away", "no"]


@pytest.mark.parametrize(
    ("plan", "status", "steps"),
    [
        pytest.param([3, 2, 0, 9], 0, 3, id="until-nothing-is-left"),
        pytest.param([3, AWAY, 9], 1, 2, id="until-something-is-away"),
        pytest.param([Refused("no", retry_at=0), 9], 1, 1, id="until-refused"),
    ],
)
def test_once_ends_without_a_rest(
    conn: sqlite3.Connection, plan: list[int | Exception], status: int, steps: int
) -> None:
    job, stop = Job(*plan), Rests(1)
    assert run(job, stop=stop, heartbeat=Heartbeat(conn, "test"), rest=REST, once=True) == status
    assert (job.steps, stop.taken) == (steps, [])


def test_a_bug_is_not_waited_out(conn: sqlite3.Connection) -> None:
    with pytest.raises(ZeroDivisionError):
        rests(conn, Job(ZeroDivisionError()), 1)


def test_when_it_is_time_to_stop_no_step_is_begun(conn: sqlite3.Connection) -> None:
    job = Job(1)
    assert (rests(conn, job, 0), job.steps) == ([], 0)


@pytest.mark.parametrize(
    ("job", "state", "detail"),
    [
        pytest.param(Job(5), "working", None, id="working"),
        pytest.param(Job(note="it is slow"), "working", "it is slow", id="with-a-note"),
        pytest.param(Job(AWAY), "waiting", "it is away", id="waiting"),
        pytest.param(Job(Refused("no", retry_at=0)), "refused", "no", id="refused"),
    ],
)
def test_the_heartbeat_has_the_state(
    conn: sqlite3.Connection, job: Job, state: str, detail: str | None
) -> None:
    rests(conn, job, 1)
    rows = conn.execute("select worker, pid, state, detail from heartbeats").fetchall()
    assert rows == [("test", os.getpid(), state, detail)]


def test_a_heartbeat_that_cannot_be_written_stops_nothing(
    conn: sqlite3.Connection, tmp_path: Path
) -> None:
    conn.execute("pragma busy_timeout = 1")
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        assert rests(conn, Job(5, AWAY), 2) == [1, REST]


RESTING = """
import os, signal, sys
from runtime.stop import Stop

with Stop() as stop:
    if sys.argv[1:] == ["early"]:
        os.kill(os.getpid(), signal.SIGTERM)
    print("resting", flush=True)
    stop.rest(60)
    print("stopped", stop.check())
"""


def resting(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start a process that rests for a minute, and wait until it does."""
    process = subprocess.Popen(
        [sys.executable, "-c", RESTING, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "resting\n"
    return process


def ended_well(process: subprocess.Popen[str]) -> bool:
    """Return whether a process ends soon, by itself and with status 0."""
    status = process.wait(10)
    with process.stdout as output:
        return (output.read(), status) == ("stopped True\n", 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_a_rest_at_once(number: signal.Signals) -> None:
    process = resting()
    process.send_signal(number)
    assert ended_well(process)


def test_a_signal_before_a_rest_is_not_forgotten() -> None:
    assert ended_well(resting("early"))


def test_a_rest_ends_with_the_process_that_started_it() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as starter:
        process = resting(LEDGER_PARENT_PID=str(starter.pid))
        starter.kill()
        assert ended_well(process)
