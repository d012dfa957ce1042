"""The alerts worker as a process: killed at every moment, small, its addresses secret."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress

import httpx
import psutil
import pytest

from ledger import Unavailable
from tests.support.alert_rig import TOKEN, Watch, receiving
from tests.support.home import eventually
from tests.support.quota_ledger import add_account
from tests.support.sites import free_port

IDLE_MB = 40
RULES = {"collector": 0.5, "unpriced": False}


@pytest.fixture
def receiver():
    """A webhook."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def stopped(home, proxy):
    """A home whose collector was stopped, which causes an alert."""
    home.use(proxy)
    home.run("ingest", "--once")
    return home


def configured(home, *urls: str, **settings) -> None:
    """Write the settings of alerts."""
    content = {"alert_urls": urls, "alert_check_seconds": 0.1, "alert_rules": RULES, **settings}
    config = home.data.parent / "config.json"
    config.write_text(json.dumps(content))


def alerts(home) -> list[tuple]:
    """Return the episodes."""
    if not home.count("alerts"):
        return []
    return home.query("select rule, notified, pending from alert_episodes")


def settled() -> None:
    """Wait for several more checks of the worker."""
    time.sleep(0.6)


def test_killed_between_finding_and_sending_it_sends_once(stopped, receiver):
    configured(stopped, receiver.url)
    receiver.stop()
    worker = stopped.start("alerts")
    eventually(lambda: alerts(stopped) == [("collector", 0, 1)])
    eventually(lambda: stopped.query("select failures from alert_receivers") == [(1,)])
    worker.kill()
    worker.wait()
    receiver.start()
    stopped.start("alerts")
    eventually(lambda: alerts(stopped) == [("collector", 1, 0)])
    settled()
    assert len(receiver.messages) == 1


def test_killed_between_sending_and_storing_it_sends_once_more_and_never_again(stopped, receiver):
    configured(stopped, receiver.url)
    receiver.may_answer.clear()
    worker = stopped.start("alerts")
    eventually(lambda: receiver.messages)
    worker.kill()
    worker.wait()
    assert alerts(stopped) == [("collector", 0, 1)]
    receiver.may_answer.set()
    stopped.start("alerts")
    eventually(lambda: alerts(stopped) == [("collector", 1, 0)])
    settled()
    assert len(receiver.messages) == 2
    assert receiver.messages[0] == receiver.messages[1]


ORPHAN = """
import os, sys
from alerts.sender import Message, Sender
Sender([Message(1, sys.stdin.read(), "title", "body", "notice")])
os._exit(0)
"""


def test_the_sender_of_a_dead_worker_sends_nothing(home, receiver):
    command = [sys.executable, "-c", ORPHAN]
    options = {"input": receiver.url.encode(), "env": home.env, "stderr": subprocess.DEVNULL}
    subprocess.run(command, check=True, **options)
    sending = [
        one for one in psutil.process_iter() if "alerts.sender_process" in " ".join(cmdline(one))
    ]
    psutil.wait_procs(sending, timeout=20)
    assert receiver.messages == []


def cmdline(process: psutil.Process) -> list[str]:
    """Return the command line of a process, empty when it has ended."""
    with suppress(psutil.Error):
        return process.cmdline()
    return []


def test_killed_after_storing_it_does_not_send_again(stopped, receiver):
    configured(stopped, receiver.url)
    for _ in range(3):
        worker = stopped.start("alerts")
        eventually(lambda: alerts(stopped) == [("collector", 1, 0)])
        settled()
        worker.kill()
        worker.wait()
    assert len(receiver.messages) == 1


def test_stopped_while_sending_it_waits_for_the_answer(stopped, receiver):
    configured(stopped, receiver.url)
    receiver.may_answer.clear()
    worker = stopped.start("alerts")
    eventually(lambda: receiver.messages)
    worker.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    receiver.may_answer.set()
    assert worker.wait(5) == 0
    assert alerts(stopped) == [("collector", 1, 0)]
    stopped.run("alerts", "--once")
    assert len(receiver.messages) == 1
    assert stopped.query("select state from heartbeats where worker = 'alerts'") == [("stopped",)]


def test_a_receiver_that_hangs_does_not_stop_the_worker(stopped, receiver):
    configured(stopped, receiver.url)
    receiver.may_answer.clear()
    stopped.start("alerts")
    eventually(lambda: receiver.messages)
    with closing(sqlite3.connect(stopped.data / "ledger.db", timeout=5)) as conn:
        account = add_account(conn, state="needs_login")
        conn.commit()
    eventually(lambda: ("needs_login", 0, 1) in alerts(stopped))
    beat = "select beat_at from heartbeats where worker = 'alerts'"
    before = stopped.query(beat)
    eventually(lambda: stopped.query(beat) > before)
    assert len(receiver.messages) == 1
    receiver.may_answer.set()
    eventually(lambda: ("needs_login", 1, 0) in alerts(stopped))
    assert f"user{account - 1}@example.com" in receiver.messages[1][1]


def test_once_sends_what_is_due_and_ends(stopped, receiver):
    configured(stopped, receiver.url)
    time.sleep(0.5)
    stopped.run("alerts", "--once")
    assert len(receiver.messages) == 1
    stopped.run("alerts", "--once")
    assert len(receiver.messages) == 1


def pss(process: psutil.Process) -> float:
    """Return the proportional memory of a process, MB."""
    return process.memory_full_info().pss / 1e6


@pytest.mark.skipif(not hasattr(psutil.Process().memory_full_info(), "pss"), reason="no PSS here")
def test_it_uses_little_memory_before_and_after_sending(stopped, receiver):
    configured(stopped, receiver.url, budgets=[{"tokens": 1, "per": "month"}])
    worker = psutil.Process(stopped.start("alerts").pid)
    eventually(lambda: alerts(stopped) and all(sent for _, sent, _ in alerts(stopped)))
    settled()
    assert receiver.messages
    assert worker.children() == []
    assert pss(worker) < IDLE_MB


def test_no_address_is_in_a_file_a_log_a_page_or_a_command_line(stopped, receiver):
    away = f"json://127.0.0.1:1/{TOKEN}"
    unknown = f"nosuchservice://{TOKEN}"
    configured(stopped, receiver.url, away, unknown)
    receiver.may_answer.clear()
    worker = stopped.start("alerts")
    eventually(lambda: receiver.messages)
    lines = [" ".join(one.cmdline()) for one in psutil.Process(worker.pid).children()]
    assert any("alerts.sender_process" in line for line in lines)
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            assert TOKEN not in " ".join(process.cmdline())
    receiver.may_answer.set()
    eventually(lambda: alerts(stopped) == [("collector", 1, 2)])
    errors = stopped.query("select service, last_error from alert_receivers order by id")
    assert errors == [
        ("json", None),
        ("json", "not reached"),
        ("nosuchservice", "an address that apprise does not know"),
    ]
    port = free_port()
    stopped.env["LEDGER_DASHBOARD_PORT"] = str(port)
    web = stopped.start("runtime.serve")
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(address, trust_env=False, timeout=120).status_code == 200
        return False

    eventually(answers)
    pages = [
        *("/", "/-/page.json", "/ledger", "/ledger/state.json", "/ledger/alerts_now.json"),
        *("/ledger/alert_history.json", "/ledger/alert_receivers.json", "/ledger/settings.json"),
        *("/ledger/heartbeats.json", "/ledger/alert_deliveries.json", "/ledger/alerts.json"),
    ]
    for page in pages:
        answer = httpx.get(address + page, trust_env=False, timeout=120)
        assert answer.status_code == 200, page
        assert TOKEN not in answer.text, page
    for process in (worker, web):
        process.terminate()
        output, _ = process.communicate(timeout=300)
        assert TOKEN not in output
    for file in stopped.data.rglob("*"):
        assert file.is_dir() or TOKEN.encode() not in file.read_bytes(), file.name


def stepping(watch: Watch) -> None:
    """Step until an exception."""
    while True:
        watch.job.step()


def test_a_message_sent_while_the_ledger_is_locked_is_not_sent_again(tmp_path, receiver):
    with closing(Watch(tmp_path / "data", receiver)) as watch:
        watch.conn.execute("insert into proxies (name) values ('127.0.0.1:8317')")
        watch.conn.execute("pragma busy_timeout = 50")
        add_account(watch.conn, state="needs_login")
        receiver.may_answer.clear()
        watch.job.step()
        eventually(lambda: receiver.messages)
        with closing(sqlite3.connect(watch.folder / "ledger.db", isolation_level=None)) as other:
            other.execute("begin immediate")
            receiver.may_answer.set()
            for _ in range(3):
                with pytest.raises(Unavailable):
                    stepping(watch)
            other.execute("rollback")
        watch.work()
        assert watch.rows("select notified, pending from alert_episodes") == [(1, 0)]
        assert len(receiver.messages) == 1


def test_alert_test_prints_the_result_of_each_address(home, receiver):
    with receiving() as other:
        other.status = 403
        configured(
            home, receiver.url, other.url, f"json://127.0.0.1:1/{TOKEN}", f"nosuchservice://{TOKEN}"
        )
        output = home.run("cli", "alert-test", status=1)
    assert output.splitlines() == [
        "1. json://…: sent.",
        "2. json://…: not sent (HTTP 403): the service does not accept this password or token.",
        "3. json://…: not sent (not reached): is the host right, and can this machine reach it?",
        "4. nosuchservice://…: not sent (an address that apprise does not know): see the list "
        "of services and what each address needs at https://github.com/caronc/apprise/wiki.",
    ]
    assert receiver.messages == [
        (
            "cliproxy-ledger: test",
            "This is a test: alerts of the usage ledger arrive here.",
            "info",
        )
    ]
    configured(home, receiver.url)
    assert home.run("cli", "alert-test") == "1. json://…: sent.\n"
    configured(home)
    assert "set alert_urls" in home.run("cli", "alert-test", status=1)
    assert not (home.data / "ledger.db").exists()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        pytest.param(
            {"alert_urls": [f"no address {TOKEN}"]},
            "The setting alert_urls is malformed: it must hold addresses of apprise such as "
            "ntfy://my-topic.",
            id="url",
        ),
        pytest.param(
            {"alert_rules": {"quota_lo": 5}},
            "The setting alert_rules is malformed: it must name rules among quota_low, runs_out,",
            id="unknown-rule",
        ),
        pytest.param(
            {"alert_rules": {"gap": -5}},
            "The setting alert_rules.gap is malformed: it must be a number above 0, or false.",
            id="negative",
        ),
        pytest.param(
            {"alert_rules": {"needs_login": 5}},
            "The setting alert_rules.needs_login is malformed: it must be true or false.",
            id="no-number",
        ),
        pytest.param(
            {"quiet_hours": "23-7"},
            "The setting quiet_hours is malformed: it must be empty or two times such as "
            "23:00-07:00.",
            id="quiet-hours",
        ),
        pytest.param(
            {"budgets": [{"per": "year", "tokens": 5}]},
            "The setting budgets[0].per is malformed: it must be day, week or month.",
            id="per",
        ),
        pytest.param(
            {"budgets": [{"per": "day", "tokens": 5, "dollars": 5}]},
            "The setting budgets[0] is malformed: it must have either tokens or dollars, above 0.",
            id="both-units",
        ),
        pytest.param(
            {"budgets": [{"per": "day", "tokens": 5, "client": "a", "account": "b"}]},
            "The setting budgets[0] is malformed: it must name a client or an account, not both.",
            id="client-and-account",
        ),
        pytest.param(
            {"budgets": [{"per": "day", "tokens": 5}, {"per": "day", "tokens": 6}]},
            "The setting budgets is malformed: it must give two like budgets names that differ.",
            id="like-budgets",
        ),
    ],
)
def test_malformed_settings_get_a_sentence(home, settings, sentence):
    configured(home, **{"alert_rules": {}, **settings})
    output = home.run("alerts", "--once", status=1)
    assert sentence in output
    assert TOKEN not in output
    assert "Traceback" not in output


def test_settings_come_from_the_environment_too(stopped, receiver):
    stopped.env |= {
        "LEDGER_ALERT_URLS": json.dumps([receiver.url]),
        "LEDGER_ALERT_RULES": json.dumps(RULES),
        "LEDGER_BUDGETS": json.dumps([{"tokens": 5e6, "per": "day"}]),
    }
    time.sleep(0.5)
    stopped.run("alerts", "--once")
    assert len(receiver.messages) == 1
    assert stopped.query("select budget, unit, amount, per from budgets") == [
        ("all, tokens a day", "tokens", 5e6, "day")
    ]
    assert os.path.exists(stopped.data / "alerts.lock")
