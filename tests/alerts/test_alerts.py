"""An alert is sent once, in one message, whatever happens to the receiver."""

import os
from functools import partial

import pytest
from apprise.plugins.custom_json import NotifyJSON

from alerts.sender import Message, Result
from alerts.sender_process import capturing, send
from ledger import transaction
from ledger.keys import load_salt
from tests.support.alert_rig import DAY, HOUR, MINUTE, TOKEN, Watch, receiving
from tests.support.brute import local
from tests.support.home import add_rollup_rows
from tests.support.quota_ledger import add_account

ADVICE = "(codex): the provider has ended this login. Log in again."
# Noon of an ordinary day in Berlin.
NOON = 1_795_604_400_000
INFO, WARNING, FAILURE, SUCCESS = "info", "warning", "failure", "success"


@pytest.fixture
def receiver():
    """A webhook."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def watch_of(tmp_path):
    """Create workers on one ledger, at noon."""
    made = []

    def make(*receivers, **settings):
        made.append(watch := Watch(tmp_path / "data", *receivers, **settings))
        watch.conn.execute("insert into proxies (name) values ('127.0.0.1:8317')")
        watch.set_clock(NOON)
        return watch

    yield make
    for watch in made:
        watch.close()


def log_out(watch: Watch, count: int = 1) -> list[int]:
    """Add accounts that need a login; return their ids."""
    return [add_account(watch.conn, state="needs_login") for _ in range(count)]


def log_in(watch: Watch, *numbers: int) -> None:
    """Make accounts readable again."""
    for number in numbers:
        watch.conn.execute("update quota_accounts set state = 'ok' where account_id = ?", (number,))


def log_out_again(watch: Watch, *numbers: int) -> None:
    """Make accounts need a login again."""
    sql = "update quota_accounts set state = 'needs_login' where account_id = ?"
    watch.conn.executemany(sql, [(number,) for number in numbers])


def stop_collector(watch: Watch, beat_at: int) -> None:
    """Store a heartbeat of a collector that stopped at an instant, a severe condition."""
    watch.conn.execute(
        "insert or replace into heartbeats (worker, role, pid, started_at, beat_at, state) "
        "values ('ingest', 'ingest', 1, ?, ?, 'stopped')",
        (beat_at, beat_at),
    )


def alert(*sentences: str, kind: str = WARNING) -> tuple[str, str, str]:
    """Return a message about one alert or several."""
    if len(sentences) == 1:
        return "cliproxy-ledger: alert", sentences[0], kind
    lines = "\n".join(f"- {sentence}" for sentence in sentences)
    return f"cliproxy-ledger: {len(sentences)} alerts", lines, kind


FIRST = f"user0@example.com {ADVICE}"


def test_an_episode_is_sent_once_and_the_next_one_again(watch_of, receiver):
    watch = watch_of(receiver)
    (number,) = log_out(watch)
    watch.work()
    assert receiver.taken() == [alert(FIRST)]
    watch.pass_by(DAY, step=HOUR)
    assert receiver.taken() == []
    log_in(watch, number)
    watch.pass_by(15 * MINUTE)
    assert watch.rows("select state, ended_at - began_at from alert_episodes") == [
        ("over", DAY + 5 * MINUTE)
    ]
    log_out_again(watch, number)
    watch.work()
    assert receiver.taken() == [alert(FIRST)]
    episodes = watch.rows("select state, notified, pending from alert_episodes order by id")
    assert episodes == [("over", 1, 0), ("open", 1, 0)]


def test_a_fluctuating_value_is_one_episode(watch_of, receiver):
    watch = watch_of(receiver)
    (number,) = log_out(watch)
    watch.work()
    for _ in range(20):
        log_in(watch, number)
        watch.pass_by(9 * MINUTE, step=3 * MINUTE)
        log_out_again(watch, number)
        watch.pass_by(3 * MINUTE)
    assert receiver.taken() == [alert(FIRST)]
    assert watch.rows("select count(*), max(clear_since) from alerts") == [(1, None)]


def test_many_at_once_are_one_message_with_ten_lines(watch_of, receiver):
    watch = watch_of(receiver)
    log_out(watch, 22)
    stop_collector(watch, NOON - HOUR)
    watch.work()
    severe = "The collector was stopped at 11:00: nothing is collected. Start it again."
    lines = [severe, *(f"user{n}@example.com {ADVICE}" for n in range(9))]
    body = "\n".join(f"- {text}" for text in lines)
    body += "\nand 13 more: see alert_history on the dashboard."
    assert receiver.taken() == [("cliproxy-ledger: 23 alerts", body, FAILURE)]
    watch.work()
    assert receiver.taken() == []
    assert watch.rows("select count(*) from alert_episodes where notified = 1") == [(23,)]


def test_the_end_of_a_severe_alert_is_sent(watch_of, receiver):
    watch = watch_of(receiver)
    stop_collector(watch, NOON - HOUR)
    watch.work()
    sentence = "The collector was stopped at 11:00: nothing is collected. Start it again."
    assert receiver.taken() == [alert(sentence, kind=FAILURE)]
    watch.pass_by(HOUR)
    watch.conn.execute("update heartbeats set beat_at = ?, state = 'working'", (NOON + 10 * HOUR,))
    watch.pass_by(15 * MINUTE)
    over = f"Over since {watch.exactly(NOON + HOUR + 5 * MINUTE)}. It was: {sentence}"
    assert receiver.taken() == [("cliproxy-ledger: over", over, SUCCESS)]


def test_without_addresses_episodes_are_stored_and_nothing_waits(watch_of):
    watch = watch_of()
    log_out(watch, 2)
    watch.work()
    assert watch.rows("select state, notified, pending from alert_episodes") == [("open", 0, 0)] * 2
    assert watch.job.status_note() is None


def test_a_new_receiver_does_not_get_old_alerts(watch_of, receiver):
    watch = watch_of()
    log_out(watch)
    watch.work()
    watch.job = watch.restarted(alert_urls=[receiver.url])
    watch.work()
    assert receiver.taken() == []
    log_out(watch)
    watch.work()
    assert receiver.taken() == [alert(f"user1@example.com {ADVICE}")]


def test_a_receiver_that_was_down_gets_everything_once_when_it_is_back(watch_of, receiver):
    watch = watch_of(receiver)
    receiver.stop()
    (number,) = log_out(watch)
    stop_collector(watch, NOON - HOUR)
    watch.work()
    watch.pass_by(45 * MINUTE)
    sql = "select code, subject, value from problems where kind = 'receiver'"
    assert watch.rows(sql) == [("receiver_failing", "json", 7)]
    failures = watch.rows("select failures, last_error from alert_receivers")[0]
    # After increasing pauses, up to a quarter of an hour.
    assert failures == (7, "not reached")
    log_in(watch, number)
    ended = watch.now + 5 * MINUTE
    watch.pass_by(15 * MINUTE)
    watch.job = watch.restarted()
    receiver.start()
    watch.pass_by(20 * MINUTE)
    severe = "The collector was stopped at 11:00: nothing is collected. Start it again."
    first = f"{FIRST} (Over since {watch.exactly(ended)}.)"
    assert receiver.taken() == [alert(severe, first, kind=FAILURE)]
    watch.pass_by(HOUR)
    assert receiver.taken() == []
    assert watch.rows(sql) == []


def test_one_receiver_that_is_down_does_not_delay_the_other(watch_of, receiver):
    with receiving() as other:
        watch = watch_of(receiver, other)
        other.status = 503
        log_out(watch)
        watch.work()
        assert receiver.taken() == [alert(FIRST)]
        assert watch.rows("select notified, pending from alert_episodes") == [(1, 1)]
        other.status = 200
        watch.pass_by(20 * MINUTE)
        assert other.taken() == [alert(FIRST)]
        assert receiver.taken() == []
        errors = watch.rows("select service, failures, last_error from alert_receivers")
        assert errors == [("json", 0, None)] * 2


def test_nothing_waits_for_a_removed_receiver(watch_of, receiver):
    watch = watch_of(receiver)
    receiver.status = 500
    log_out(watch)
    watch.work()
    assert watch.rows("select last_error from alert_receivers") == [("HTTP 500",)]
    watch.job = watch.restarted(alert_urls=[])
    assert watch.rows("select count(*) from alert_deliveries") == [(0,)]
    assert watch.job.status_note() is None


def test_alerts_for_a_mistyped_address_go_to_the_right_one(watch_of, receiver):
    watch = watch_of(receiver)
    receiver.status = 404
    log_out(watch)
    watch.work()
    receiver.status = 200
    with receiving() as right:
        watch.job = watch.restarted(alert_urls=[right.url])
        watch.work()
        assert right.taken() == [alert(FIRST)]
        watch.job = watch.restarted(alert_urls=[receiver.url, right.url])
        watch.work()
        assert (right.taken(), receiver.taken()) == ([], [])


# Services of apprise that are not used here import it.
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_a_message_too_long_for_its_service_is_cut_off(watch_of, receiver, monkeypatch):
    monkeypatch.setattr(NotifyJSON, "body_maxlen", 100)
    message = Message(1, receiver.url, "cliproxy-ledger: alert", "It holds. " * 50, "warning")
    with capturing() as captured:
        assert send(message, captured, os.getppid()) == Result(1, None)
    ((_, body, _),) = receiver.taken()
    assert body.startswith("It holds. It holds.")
    assert len(body) <= 100


def test_a_waiting_alert_is_sent_in_its_latest_wording(watch_of, receiver):
    watch = watch_of(receiver, budgets=[])
    receiver.stop()
    begin_gap = "insert into gaps (proxy_id, started_at, cause) values (1, ?, 'proxy away')"
    watch.conn.execute(begin_gap, (NOON - HOUR,))
    watch.conn.execute("update proxies set retention_seconds = 5400")
    watch.work()
    text = "Nothing has been collected from 127.0.0.1:8317 since 11:00: proxy away."
    assert watch.rows("select sentence from alerts") == [
        (f"{text} The proxy keeps its events until 12:30.",)
    ]
    receiver.start()
    watch.pass_by(HOUR, step=HOUR)
    assert receiver.taken() == [alert(f"{text} Events from before 11:30 may be lost.")]
    watch.pass_by(HOUR)
    # A sent sentence stays as it was sent.
    assert watch.rows("select sentence from alerts") == [
        (f"{text} Events from before 11:30 may be lost.",)
    ]


MIDNIGHT = NOON + 12 * HOUR


def test_quiet_hours_hold_back_alerts_that_are_not_severe(watch_of, receiver):
    watch = watch_of(receiver, quiet_hours="23:00-07:00")
    watch.work(MIDNIGHT)
    stays, ends = log_out(watch, 2)
    stop_collector(watch, MIDNIGHT - HOUR)
    watch.work()
    severe = "The collector was stopped at 2026-11-25 23:00: nothing is collected. Start it again."
    assert receiver.taken() == [alert(severe, kind=FAILURE)]
    watch.pass_by(2 * HOUR)
    log_in(watch, ends)
    watch.conn.execute("update heartbeats set beat_at = ?, state = 'working'", (NOON + 2 * DAY,))
    away = watch.now + 5 * MINUTE
    watch.pass_by(4 * HOUR + 55 * MINUTE)
    assert f"{local(watch.now, watch.zone):%H:%M}" == "06:55"
    assert receiver.taken() == []
    watch.pass_by(10 * MINUTE)
    over = f"Over since {watch.exactly(away)}. It was: {severe}"
    # The other one had ended by then: it is only in the history.
    assert receiver.taken() == [("cliproxy-ledger: alert", f"- {FIRST}\n- {over}", WARNING)]
    states = watch.rows("select subject, state, notified from alert_episodes order by id")
    assert sorted(states) == [
        (f"account {stays}", "open", 1),
        (f"account {ends}", "over", 0),
        ("ingest", "over", 1),
    ]
    watch.pass_by(HOUR)
    assert receiver.taken() == []


def test_a_condition_gone_at_the_end_of_quiet_hours_is_sent_only_if_it_returns(watch_of, receiver):
    watch = watch_of(receiver, quiet_hours="13:00-14:00")
    watch.work(NOON + 70 * MINUTE)
    goes, returns = log_out(watch, 2)
    watch.work()
    log_in(watch, goes, returns)
    watch.work(NOON + 119 * MINUTE)
    watch.work(NOON + 121 * MINUTE)
    log_out_again(watch, returns)
    watch.work(NOON + 125 * MINUTE)
    assert receiver.taken() == [alert(f"user1@example.com {ADVICE}")]
    watch.pass_by(HOUR)
    assert receiver.taken() == []
    assert watch.rows("select state, notified from alert_episodes") == [("over", 0), ("open", 1)]


def test_a_late_alert_is_not_sent_in_quiet_hours(watch_of, receiver):
    watch = watch_of(receiver, quiet_hours="13:00-14:00")
    receiver.status = 500
    log_out(watch)
    watch.work()
    watch.pass_by(70 * MINUTE)
    receiver.status = 200
    watch.pass_by(45 * MINUTE)
    assert receiver.taken() == []
    watch.pass_by(20 * MINUTE)
    assert receiver.taken() == [alert(FIRST)]


def test_the_episodes_of_a_disabled_rule_end_without_a_message(watch_of, receiver):
    watch = watch_of(receiver)
    stop_collector(watch, NOON - HOUR)
    watch.work()
    receiver.taken()
    watch.job = watch.restarted(alert_rules={"collector": False})
    watch.pass_by(HOUR)
    assert receiver.taken() == []
    assert watch.rows("select state, ended_at from alert_episodes") == [("over", NOON)]


def test_waiting_alerts_of_a_disabled_rule_are_not_sent(watch_of, receiver):
    watch = watch_of(receiver)
    receiver.status = 500
    stop_collector(watch, NOON - HOUR)
    watch.work()
    watch.job = watch.restarted(alert_rules={"collector": False})
    receiver.status = 200
    watch.pass_by(HOUR)
    assert receiver.taken() == []
    assert watch.rows("select state, notified, pending from alert_episodes") == [("over", 0, 0)]


CUSTOM = """
-- Accounts, whatever their state.
select
  'account ' || id as subject,
  label || ' is there.' as sentence,
  'house' as rule,
  'notice' as severity,
  id as value,
  1 as tells_over
from known_accounts
"""


def test_custom_rules_are_alerts_like_others(watch_of, receiver):
    watch = watch_of(receiver)
    file = watch.folder / "custom_rules.sql"
    file.write_text(CUSTOM)
    (number,) = log_out(watch)
    watch.work()
    assert receiver.taken() == [alert(FIRST, "user0@example.com is there.")]
    own = watch.rows("select rule, subject, severity, value, own from alerts where own = 1")
    assert own == [("house", f"account {number}", "notice", float(number), 1)]
    file.unlink()
    watch.pass_by(15 * MINUTE)
    over = f"Over since {watch.exactly(NOON + 5 * MINUTE)}. It was: user0@example.com is there."
    assert receiver.taken() == [("cliproxy-ledger: over", over, SUCCESS)]


SLOW = """
with recursive n (n) as (select 1 union all select n + 1 from n)
select count(*) as subject, 'x' as sentence from n
"""
COLUMNS = "each query must return subject and sentence"
BROKEN = [
    pytest.param("select x from nowhere", "no such table: nowhere", id="no-table"),
    pytest.param("select 1 as subject", COLUMNS, id="no-sentence"),
    pytest.param("selec", 'near "selec": syntax error', id="syntax"),
    pytest.param("delete from alerts", "not authorized", id="write"),
    pytest.param("attach 'other.db' as other", "not authorized", id="attach"),
    pytest.param("pragma journal_mode = delete", "not authorized", id="pragma"),
    pytest.param("create view clock as select 1 as now", "not authorized", id="create"),
    pytest.param(SLOW, "it takes over 1 s", id="endless"),
    pytest.param(
        "select 'a' as subject, substr(cast('Zo\u00eb' as blob), 1, 3) || '' as sentence",
        "Could not decode to UTF-8 column 'sentence' with text 'Zo\ufffd'",
        id="no-utf-8",
    ),
    pytest.param("select 1\0", "embedded null character", id="nul"),
    pytest.param(
        "select 1 as subject, 'x' as sentence, 'gap' as rule",
        "the rule gap is built in: use another name",
        id="a-built-in-rule",
    ),
    pytest.param(
        "select 1 as subject, 'x' as sentence, 'huge' as severity",
        "severity must be severe, warning, notice",
        id="severity",
    ),
    pytest.param(
        "select null as subject, 'x' as sentence",
        "subject and sentence must not be empty",
        id="no-subject",
    ),
    pytest.param(
        "select n as subject, 'x' as sentence "
        "from (with recursive a (n) as (select 1 union all select n + 1 from a limit 101) "
        "select n from a)",
        "a query returns more than 100 rows",
        id="too-many",
    ),
]


@pytest.mark.parametrize(("broken", "reason"), BROKEN)
def test_broken_custom_rules_are_a_sentence_and_keep_their_alerts(
    watch_of, receiver, broken, reason
):
    watch = watch_of(receiver)
    file = watch.folder / "custom_rules.sql"
    file.write_text("select 'x' as subject, 'It holds.' as sentence")
    watch.work()
    assert receiver.taken() == [alert("It holds.")]
    file.write_text(broken)
    log_out(watch)
    watch.pass_by(30 * MINUTE, step=15 * MINUTE)
    assert receiver.taken() == [alert(FIRST)]
    assert watch.job.status_note() == f"custom_rules.sql: {reason}"
    states = watch.rows("select rule, state from alert_episodes order by id")
    assert states == [("custom", "open"), ("needs_login", "open")]
    assert not (watch.folder / "other.db").exists()
    file.write_text("select 'x' as subject, 'It holds.' as sentence")
    watch.work()
    assert watch.job.status_note() is None


def test_the_first_start_on_an_old_ledger_sends_only_present_conditions(watch_of, receiver):
    watch = watch_of(receiver)
    watch.conn.execute("delete from settings where name = 'alerts_from'")
    insert = partial(
        watch.conn.execute,
        "insert into gaps (proxy_id, started_at, ended_at, cause, retention_exceeded) "
        "values (1, ?, ?, 'proxy away', 1)",
    )
    row = {"resolution": 2, "proxy_id": 1, "requests": 900}
    quarters = range(NOON - 40 * DAY, NOON + DAY, 15 * MINUTE)
    with transaction(watch.conn):
        buckets = [{**row, "bucket_at": at - at % (15 * MINUTE)} for at in quarters]
        add_rollup_rows(watch.conn, "total_rollup", buckets)
        for days in range(1, 30):
            insert((NOON - days * DAY, NOON - days * DAY + 2 * HOUR))
    insert((NOON - 5 * HOUR, NOON - 2 * HOUR))
    log_out(watch)
    watch.job = watch.restarted()
    watch.work()
    assert receiver.taken() == [alert(FIRST)]
    insert((NOON + HOUR, NOON + 2 * HOUR))
    watch.work(NOON + 3 * HOUR)
    [(title, body, _)] = receiver.taken()
    assert title == "cliproxy-ledger: alert"
    assert body.endswith("nothing was collected from 13:00 until 14:00 (proxy away).")


def test_after_a_start_or_a_sleep_the_other_workers_have_time_to_report(watch_of, receiver):
    watch = watch_of(receiver)
    watch.job._parts = watch.job._parts._replace(calm_ms=30_000)
    stop_collector(watch, NOON - HOUR)
    watch.work()
    watch.work(NOON + 10_000)
    assert receiver.taken() == []
    watch.conn.execute("update heartbeats set beat_at = ?, state = 'working'", (NOON + 11_000,))
    watch.work(NOON + 31_000)
    assert receiver.taken() == []
    # The machine sleeps for a night; the collector wakes after the alerts worker.
    watch.work(NOON + 8 * HOUR)
    watch.conn.execute("update heartbeats set beat_at = ?", (NOON + 8 * HOUR + 5_000,))
    watch.work(NOON + 8 * HOUR + 10_000)
    for seconds in range(20, 130, 10):
        watch.work(NOON + 8 * HOUR + seconds * 1000)
    assert receiver.taken() == []
    watch.work(NOON + 8 * HOUR + 130_000)
    assert len(receiver.taken()) == 1


def test_no_address_is_in_the_ledger(watch_of, receiver):
    watch = watch_of(receiver)
    log_out(watch)
    watch.work()
    rows = watch.rows("select url_hash, service, configured from alert_receivers")
    assert rows == [(load_salt(watch.folder).key(receiver.url).hash, "json", 1)]
    watch.conn.execute("pragma wal_checkpoint(truncate)")
    for file in watch.folder.iterdir():
        assert TOKEN.encode() not in file.read_bytes(), file.name


def test_a_receiver_without_an_answer_counts_as_failed(watch_of, receiver):
    watch = watch_of(receiver)
    receiver.may_answer.clear()
    log_out(watch)
    while not receiver.messages:
        watch.job.step()
    watch.job._sender._deadline = 0.0
    watch.work()
    receiver.may_answer.set()
    assert watch.rows("select failures, last_error from alert_receivers") == [(1, "no answer")]
    # The receiver had the message: only such a message can arrive twice.
    watch.pass_by(20 * MINUTE)
    assert receiver.taken() == [alert(FIRST)] * 2
