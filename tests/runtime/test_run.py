"""`make run` starts everything and ends everything."""

import os
import signal
import socket
import subprocess

import pytest

from tests.support.home import ROOT, eventually
from tests.support.run import Run


@pytest.fixture
def running(home, proxy, all_recorded):
    """A `make run` that has stored events and serves them."""
    home.use(proxy)
    proxy.push(all_recorded)
    run = Run(home)
    eventually(lambda: home.count() == 370 and run.is_up())
    run.look()
    yield run
    for process in run.left():
        process.kill()


def interrupt_without_reader(run: Run) -> None:
    """Press Ctrl-C after the reader of the output has ended, as with `| head`."""
    run.make.stdout.close()
    os.killpg(run.make.pid, signal.SIGINT)


ENDINGS = [
    pytest.param(lambda run: os.killpg(run.make.pid, signal.SIGINT), id="ctrl-c"),
    pytest.param(lambda run: run.make.terminate(), id="sigterm"),
    pytest.param(lambda run: run.honcho().terminate(), id="sigterm-to-honcho"),
    pytest.param(lambda run: os.killpg(run.make.pid, signal.SIGHUP), id="hang-up"),
    pytest.param(lambda run: run.honcho().kill(), id="honcho-killed"),
    pytest.param(interrupt_without_reader, id="ctrl-c-without-a-reader"),
]


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_is_left_five_seconds_after_the_end(running, home, ending):
    assert len(running.all) >= 5
    ending(running)
    eventually(lambda: not running.left(), within=5)
    running.make.wait()
    assert home.spool().read_bytes() == b""
    assert home.query("select state from heartbeats where worker = 'ingest'") == [("stopped",)]


def test_without_a_key_one_sentence_says_what_to_do(home):
    home.env["CLIPROXY_MANAGEMENT_KEY"] = ""
    done = subprocess.run(
        ["make", "run"], cwd=ROOT, env=home.env, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "management_key" in done.stderr
    assert "make demo" in done.stderr
    assert not (home.data / "ledger.db").exists()


def test_a_port_in_use_gets_a_sentence(home, proxy):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        home.use(proxy, LEDGER_DASHBOARD_PORT=str(taken.getsockname()[1]))
        output = home.run("cli", "preflight", status=1)
    assert "cannot listen" in output
    assert "dashboard_port" in output


def test_a_second_collector_ends_with_a_sentence(home, proxy):
    home.use(proxy)
    home.start("ingest")
    eventually(lambda: home.count("heartbeats"))
    assert "already running" in home.run("ingest", "--once", status=1)
