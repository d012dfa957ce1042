"""Every rule, on ledgers that real workers wrote: sent once, ended, sent again."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from demo.accounts import ALICE
from demo.fake_proxy import FakeProxy, serving
from ingest import idle
from ledger.data_folder import prepare
from ledger.settings import ALERT_RULES, SECOND_THRESHOLDS, Budget, Settings
from quota.model import Answer
from quota.providers import PROVIDERS
from quota.store import PollAttempt, store_reading
from tests.support import quota_ledger
from tests.support.alert_rig import DAY, HOUR, MINUTE, Receiver, Watch, receiving
from tests.support.brute import local, midnight
from tests.support.home import DATA, KEY, ROOT, collector_of
from tests.support.quota_ledger import add_account

numbers = count(1)
# Noon of an ordinary day in Berlin.
NOON = 1_795_604_400_000


class World:
    """A proxy, a collector in this process, an alerts worker, and its receiver."""

    def __init__(self, folder: Path, proxy: FakeProxy, receiver: Receiver) -> None:
        self.folder = folder
        self.proxy = proxy
        self.receiver = receiver
        self.began = int(time.time() * 1000)
        self.settings = Settings(
            cliproxy_port=proxy.port,
            management_key=KEY,
            data_dir=str(folder / "data"),
            auth_dir=str(folder / "auth"),
        )
        self.watch = Watch(folder / "data", receiver)

    @property
    def name(self) -> str:
        """The proxy's name."""
        return f"127.0.0.1:{self.proxy.port}"

    def collect(self, steps: int = 2) -> None:
        """Run a collector until the queue is empty, and let it go."""
        with closing(prepare(self.folder / "data", timezone="Europe/Berlin")) as conn:
            job = collector_of(conn, self.settings)
            for _ in range(steps):
                while job.step():
                    pass
            job.close()

    def sent(self) -> list[str]:
        """Return the texts of the messages since the last call."""
        return [text for _, text, _ in self.receiver.taken()]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def world(tmp_path, proxy, receiver) -> Iterator[World]:
    """A world without events."""
    made = World(tmp_path, proxy, receiver)
    yield made
    made.watch.close()


def attempts(
    count: int, at: int, *, failed: bool = False, model: str = "gpt-5.5", status: int = 500
) -> list[bytes]:
    """Return distinct attempts at an instant (ms)."""
    made = {
        "source": ALICE.email,
        "auth_index": ALICE.auth_index,
        "provider": "codex",
        "model": model,
        "api_key": "sk-demo-client-alpha",
        "tokens": {"input_tokens": 1000, "output_tokens": 500, "total_tokens": 1500},
        "failed": failed,
        "fail": {"status_code": status if failed else 200, "body": ""},
    }
    when = datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.{:09}Z")
    return [
        json.dumps({"timestamp": when.format(next(numbers)), **made}).encode() for _ in range(count)
    ]


def test_failures(world):
    watch, at = world.watch, world.began

    def fail(failed: int, fine: int, status: int = 500) -> None:
        world.proxy.push(attempts(failed, at, failed=True, status=status) + attempts(fine, at))
        world.collect()
        watch.work(at + MINUTE)

    fail(9, 1)
    assert world.sent() == []
    fail(1, 10)
    assert world.sent() == []
    fail(2, 1)
    text = "12 of 24 attempts of the last 10 minutes failed (50 %), mostly with status 500."
    assert world.sent() == [text]
    # Half as many are still the same burst.
    at += 12 * MINUTE
    fail(5, 15)
    assert watch.rows("select clear_since from alerts") == [(None,)]
    watch.pass_by(9 * MINUTE)
    assert world.sent() == []
    watch.pass_by(20 * MINUTE)
    ((ended,),) = watch.rows("select ended_at from alert_episodes")
    assert world.sent() == [f"Over since {watch.exactly(ended)}. It was: {text}"]
    at = watch.now
    fail(30, 0, status=429)
    assert world.sent() == [
        "30 of 30 attempts of the last 10 minutes failed (100 %), mostly with status 429."
    ]


def d10(at: int, **failure: Any) -> list[bytes]:
    """Return the attempts of the case at an instant (ms), the failed ones as a test wants them."""
    lines = (DATA / "cases" / "d10-cancelled-by-client.jsonl").read_text("utf-8").splitlines()
    when = datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.{:09}Z")
    return [
        json.dumps(
            {
                **event,
                "timestamp": when.format(next(numbers)),
                **(failure if event["failed"] else {}),
            }
        ).encode()
        for event in map(json.loads, lines)
    ]


def test_d10_12_cancelled_of_20_are_no_alert_and_12_failed_of_20_are_one(world):
    watch, at = world.watch, world.began
    world.proxy.push(d10(at))
    world.collect()
    watch.work(at + MINUTE)
    assert world.sent() == []
    sql = "select requests, failed, cancelled from totals_by_window where window = '1h'"
    assert watch.rows(sql) == [(20, 12, 12)]
    world.proxy.push(d10(at, fail={"status_code": 503, "body": "overloaded"}))
    world.collect()
    watch.work(at + MINUTE)
    # 12 of 40 are too few for an alert.
    assert world.sent() == []
    at += 12 * MINUTE
    world.proxy.push(d10(at, fail={"status_code": 503, "body": "overloaded"}))
    world.collect()
    watch.work(at + MINUTE)
    assert world.sent() == [
        "12 of 20 attempts of the last 10 minutes failed (60 %), mostly with status 503."
    ]
    assert watch.rows(sql) == [(60, 36, 12)]


def test_unpriced(world):
    watch, at = world.watch, world.began

    def use(count: int) -> None:
        world.proxy.push(attempts(count, at, model="house-coder-32b") + attempts(5, at))
        world.collect()
        watch.work(at)

    use(3)
    text = (
        "The model house-coder-32b has no known price: 3 attempts of the last 7 days are missing "
        "in every cost. Add it to prices in config.json, then run: "
        ".venv/bin/python -m ledger reprice."
    )
    assert world.sent() == [text]
    use(2)
    watch.pass_by(9 * DAY, step=DAY)
    assert world.sent() == []
    at = watch.now
    use(1)
    assert world.sent() == [text.replace("3 attempts", "1 attempt").replace("are", "is")]


def test_collector_stopped_and_silent(world, home):
    home.env["LEDGER_DATA_DIR"] = str(world.folder / "data")
    home.env["LEDGER_TIMEZONE"] = "Europe/Berlin"
    home.use(world.proxy)
    watch = world.watch
    watch.job = watch.restarted(alert_rules={"gap": False})

    def beat() -> int:
        return watch.rows("select beat_at from heartbeats where role = 'ingest'")[0][0]

    home.run("ingest", "--once")
    stopped = beat()
    watch.work(stopped + 119_000)
    assert world.sent() == []
    watch.work(stopped + 121_000)
    text = f"The collector of {world.name} was stopped at {watch.clock(stopped)}: "
    text += "nothing is collected. Start it again."
    assert world.sent() == [text]
    collector = home.start("ingest")
    while watch.rows("select state from heartbeats where role = 'ingest'") != [("working",)]:
        time.sleep(0.02)
    collector.kill()
    collector.wait()
    # The test's clock is ahead of the collector's.
    back = watch.now + MINUTE
    watch.conn.execute("update heartbeats set beat_at = ?", (back + 10 * MINUTE,))
    watch.work(back)
    watch.work(back + 10 * MINUTE)
    assert world.sent() == [f"Over since {watch.exactly(back)}. It was: {text}"]
    watch.work(back + 13 * MINUTE)
    since = watch.clock(back + 10 * MINUTE)
    assert world.sent() == [
        f"The collector of {world.name} has not reported since {since}: "
        "nothing is collected. Start it again."
    ]


def test_quota_worker_silent(world, home):
    home.env["LEDGER_DATA_DIR"] = str(world.folder / "data")
    home.env |= {"LEDGER_TIMEZONE": "Europe/Berlin", "LEDGER_QUOTA_SOURCE": "off"}
    home.use(world.proxy)
    watch = world.watch
    worker = home.start("quota")
    while not watch.rows("select 1 from heartbeats where role = 'quota'"):
        time.sleep(0.02)
    worker.kill()
    worker.wait()
    ((beat,),) = watch.rows("select beat_at from heartbeats where role = 'quota'")
    watch.work(beat + 301_000)
    since = watch.clock(beat)
    text = f"The quota worker has not reported since {since}: "
    text += "verdicts and forecasts are no longer decided. Start it again."
    assert world.sent() == [text]
    home.run("quota", "--once")
    ((back,),) = watch.rows("select beat_at from heartbeats where role = 'quota'")
    # A worker that was stopped on purpose causes no alert.
    watch.work(back + 2 * HOUR)
    watch.pass_by(15 * MINUTE)
    assert world.sent()[0].endswith(text)


def test_gap(tmp_path, receiver, home):
    with serving(FakeProxy(key=KEY, retention=3600)) as proxy:
        world = World(tmp_path, proxy, receiver)
        watch = world.watch
        watch.job = watch.restarted(alert_rules={"collector": False})
        home.env["LEDGER_DATA_DIR"] = str(world.folder / "data")
        home.env["LEDGER_TIMEZONE"] = "Europe/Berlin"
        home.use(proxy)
        home.run("ingest", "--once")
    home.run("ingest", "--once", status=1)
    ((started, cause),) = watch.rows("select started_at, cause from gaps where ended_at is null")
    assert cause == "collector stopped"
    ((detail,),) = watch.rows("select detail from heartbeats where role = 'ingest'")
    watch.work(started + 299_000)
    assert world.sent() == []
    watch.work(started + 301_000)
    since, until = watch.clock(started), watch.clock(started + HOUR)
    text = f"Nothing has been collected from {world.name} since {since}: {detail.rstrip('.')}. "
    text += f"The proxy keeps its events until {until}."
    assert world.sent() == [text]
    with serving(FakeProxy(key=KEY, retention=3600, port=proxy.port)):
        home.run("ingest", "--once")
    watch.work(started + 302_000)
    watch.work(started + 302_000 + 10 * MINUTE)
    over = watch.exactly(started + 302_000)
    assert world.sent() == [f"Over since {over}. It was: {text}"]
    home.run("ingest", "--once", status=1)
    watch.work(started + HOUR)
    assert len(world.sent()) == 1
    watch.close()


def test_queue_shared(world, monkeypatch):
    monkeypatch.setattr(idle, "POLL_SECONDS", 0.0)
    watch = world.watch
    text = (
        f"Another program is taking events from the queue of {world.name}: the proxy counts "
        "attempts that never arrive here. Stop it, since each event goes to one collector only."
    )
    with closing(prepare(world.folder / "data", timezone="Europe/Berlin")) as conn:
        job = collector_of(conn, world.settings)

        def turn(at: int, *, stolen: bool) -> None:
            world.proxy.push(attempts(30, world.began))
            if stolen:
                assert len(world.proxy.queue.pop(30)) == 30
            for _ in range(2):
                while job.step():
                    pass
            watch.work(at)

        turn(world.began, stolen=False)
        assert world.sent() == []
        turn(world.began + MINUTE, stolen=True)
        assert world.sent() == [text]
        turn(world.began + 2 * MINUTE, stolen=False)
        watch.work(world.began + 13 * MINUTE)
        over = watch.exactly(world.began + 2 * MINUTE)
        assert world.sent() == [f"Over since {over}. It was: {text}"]
        turn(world.began + 14 * MINUTE, stolen=True)
        assert world.sent() == [text]
        job.close()


def test_lost_in_a_gap(tmp_path, receiver):
    with serving(FakeProxy(key=KEY, retention=1)) as proxy:
        world = World(tmp_path, proxy, receiver)
        watch, at = world.watch, world.began
        # An hour at one attempt a second, then no collector for longer than the retention.
        world.collect()
        for quarter in range(1, 5):
            proxy.push(attempts(900, at - quarter * 15 * MINUTE))
            world.collect()
        watch.conn.execute("update proxies set first_pop_at = ?", (at - 3 * HOUR,))
        watch.conn.execute("update settings set value = ? where name = 'alerts_from'", (str(at),))
        watch.job = watch.restarted(alert_rules={"lost": 2})
        # On a busy machine the time between two of the runs above is a gap of its own.
        watch.conn.execute("delete from gaps where ended_at is not null")
        time.sleep(2.5)
        world.collect()
        ((started, ended, missing),) = watch.rows(
            "select started_at, ended_at, maybe_missing from gap_estimates "
            "order by started_at desc limit 1"
        )
        assert missing >= 2
        watch.work(ended + MINUTE)
        assert world.sent() == []
        watch.work(ended + 3 * MINUTE)
        assert world.sent() == [
            f"About {missing} events of {world.name} may be missing: nothing was collected from "
            f"{watch.clock(started)} until {watch.clock(ended)} (collector stopped)."
        ]
        watch.pass_by(8 * HOUR, step=HOUR)
        assert world.sent() == []
        assert watch.rows("select state from alert_episodes") == [("over",)]
        watch.close()


class Quotas:
    """One account with chosen answers of its provider, and an alerts worker."""

    def __init__(self, watch: Watch, receiver: Receiver) -> None:
        self.watch = watch
        self.receiver = receiver
        self.account = add_account(watch.conn)
        self.start = watch.now // 300_000 * 300_000

    def answer(self, at: int, status: int, body: dict[str, Any]) -> None:
        """Store an answer at an instant (ms), by the quota worker's own parse and store."""
        reading = PROVIDERS["codex"].parse(Answer(status, {}, json.dumps(body), at), None)
        store_reading(
            self.watch.conn, self.account, reading, PollAttempt(at, at, "management", "test")
        )
        self.watch.work(at)

    def used(self, percent: float, *, resets_at: int, at: int) -> None:
        """Store an answer with this use of the 5-hour limit."""
        window = {
            "used_percent": percent,
            "limit_window_seconds": 18_000,
            "reset_at": resets_at // 1000,
            "reset_after_seconds": (resets_at - at) // 1000,
        }
        limit = {"allowed": percent < 100, "limit_reached": percent >= 100}
        self.answer(at, 200, {"rate_limit": {**limit, "primary_window": window}})

    def sent(self) -> list[str]:
        """Return the texts of the messages since the last call."""
        return [text for _, text, _ in self.receiver.taken()]


@pytest.fixture
def quotas(tmp_path, receiver) -> Iterator[Callable[..., Quotas]]:
    """Create an account that some rules watch."""
    made: list[Watch] = []

    def make(*rules: str) -> Quotas:
        off = {name: False for name in ALERT_RULES if name not in (*rules, "failed_attempts")}
        made.append(watch := Watch(tmp_path / "data", receiver, alert_rules=off))
        watch.conn.execute("insert into proxies (name) values ('127.0.0.1:8317')")
        watch.set_clock(NOON)
        return Quotas(watch, receiver)

    yield make
    for watch in made:
        watch.close()


def test_quota_low(quotas):
    world = quotas("quota_low")
    watch, start = world.watch, world.start
    reset = start + 4 * HOUR
    text = "user0@example.com (codex): {} % of the 5-hour limit is left; it resets at {}."
    world.used(90, resets_at=reset, at=start)
    assert world.sent() == []
    world.used(92, resets_at=reset, at=start + 10 * MINUTE)
    assert world.sent() == [text.format(8, "16:00")]
    # Slightly above the threshold, and with stale numbers, it is the same episode.
    for step, percent in enumerate([89, 88.5, 89, 95, 96]):
        world.used(percent, resets_at=reset, at=start + (20 + 15 * step) * MINUTE)
    watch.pass_by(135 * MINUTE)
    assert world.sent() == []
    assert watch.rows("select state from alert_episodes") == [("open",)]
    following = reset + 5 * HOUR
    world.used(2, resets_at=following, at=reset + MINUTE)
    world.used(3, resets_at=following, at=reset + 12 * MINUTE)
    assert watch.rows("select state from alert_episodes") == [("over",)]
    world.used(100, resets_at=following, at=reset + HOUR)
    assert world.sent() == [
        "user0@example.com (codex): the 5-hour limit is used up; it resets at 21:00."
    ]


def test_a_full_limit_is_never_low(quotas):
    world = quotas("quota_low")
    rules = world.watch.settings["alert_rules"]
    world.watch.job = world.watch.restarted(alert_rules=rules | {"quota_low": 99})
    start, reset = world.start, world.start + HOUR
    world.used(60, resets_at=reset, at=start)
    assert len(world.sent()) == 1
    for minutes in (1, 12):
        world.used(0, resets_at=reset + 5 * HOUR, at=reset + minutes * MINUTE)
    assert world.watch.rows("select state from alert_episodes") == [("over",)]
    world.used(60, resets_at=reset + 5 * HOUR, at=reset + HOUR)
    assert len(world.sent()) == 1


def test_a_limit_that_does_not_block_causes_no_alert(quotas):
    world = quotas("quota_low")
    world.used(99, resets_at=world.start + HOUR, at=world.start)
    assert len(world.sent()) == 1
    world.watch.conn.execute("delete from alerts")
    world.watch.conn.execute("update quota_windows set gating = 0")
    world.watch.work()
    world.watch.conn.execute("update quota_windows set gating = 1")
    world.watch.conn.execute("update quota_accounts set disabled = 1")
    world.watch.work()
    assert world.sent() == []


def test_runs_out(quotas):
    world = quotas("runs_out")
    watch, start = world.watch, world.start
    # It opened an hour ago.
    reset = start + 4 * HOUR
    world.used(10, resets_at=reset, at=start)
    assert world.sent() == []
    for step in (1, 2, 3):
        world.used(10 + 5 * step, resets_at=reset, at=start + step * 10 * MINUTE)
    # 5 % in ten minutes: at 12:20 there were two points to go by, and 80 % to go.
    assert world.sent() == [
        "user0@example.com (codex): at this rate the 5-hour limit runs out at 15:00, "
        "before it resets at 16:00."
    ]
    # Without readings for two hours the forecast is stale, and the sentence stays.
    before = watch.rows("select value, json_extract(parameters, '$.since') from alerts")
    watch.pass_by(125 * MINUTE)
    sql = "select value, json_extract(parameters, '$.since') from problems"
    assert watch.rows(f"{sql} where code = 'limit_runs_out'") == before
    assert watch.rows("select reason from quota_window_forecasts") == [("stale",)]
    assert watch.rows("select clear_since from alerts") == [(None,)]
    for step in (16, 17):
        world.used(26, resets_at=reset, at=start + step * 10 * MINUTE)
    assert watch.rows("select state from alert_episodes") == [("over",)]
    for step in (18, 19, 20):
        world.used(26 + 23 * (step - 17), resets_at=reset, at=start + step * 10 * MINUTE)
    assert len(world.sent()) == 1


def test_reset(quotas):
    world = quotas("reset")
    watch, start = world.watch, world.start
    watch.conn.execute("update settings set value = ? where name = 'alerts_from'", (str(start),))
    reset = start + HOUR
    text = "user0@example.com (codex): the 5-hour limit has reset {}; {}."
    world.used(50, resets_at=reset, at=start)
    # Half was left: no message.
    watch.work(reset + MINUTE)
    second, third, fourth = (reset + hours * HOUR for hours in (5, 10, 15))
    for minutes, percent in ((5, 1), (10, 60), (240, 96)):
        world.used(percent, resets_at=second, at=reset + minutes * MINUTE)
    assert world.sent() == []
    watch.work(second + MINUTE)
    assert world.sent() == [text.format("at 18:00", "4 % was left")]
    for minutes, percent in ((5, 1), (10, 60), (250, 100)):
        world.used(percent, resets_at=third, at=second + minutes * MINUTE)
    assert world.sent() == []
    world.used(0, resets_at=fourth, at=third + 5 * MINUTE)
    assert world.sent() == [text.format("at 23:00", "it had been used up")]
    world.used(97, resets_at=fourth, at=third + HOUR)
    # A correction by the provider is no reset.
    world.used(93, resets_at=fourth, at=third + 70 * MINUTE)
    world.used(93, resets_at=fourth, at=third + 75 * MINUTE)
    assert world.sent() == []
    world.used(0, resets_at=fourth, at=third + 80 * MINUTE)
    world.used(1, resets_at=fourth, at=third + 85 * MINUTE)
    assert world.sent() == [text.format("early, at 00:20", "7 % was left")]
    watch.pass_by(2 * HOUR)
    assert world.sent() == []
    # The last reading is too old to show what was left at the reset.
    world.used(97, resets_at=fourth, at=fourth - 2 * HOUR)
    watch.work(fourth + MINUTE)
    assert world.sent() == []


def test_needs_login(quotas):
    world = quotas("needs_login")
    watch, start = world.watch, world.start
    text = "user0@example.com (codex): the provider has ended this login. Log in again."
    world.used(5, resets_at=start + HOUR, at=start)
    assert world.sent() == []
    revoked = {"error": {"code": "token_revoked", "message": "Encountered it"}}
    world.answer(start + 10 * MINUTE, 401, revoked)
    assert world.sent() == [text]
    world.answer(start + HOUR, 401, revoked)
    world.used(5, resets_at=start + 3 * HOUR, at=start + 2 * HOUR)
    watch.pass_by(15 * MINUTE)
    assert world.sent() == []
    assert watch.rows("select state from alert_episodes") == [("over",)]
    world.answer(start + 3 * HOUR, 401, revoked)
    assert world.sent() == [text]


def test_budgets_near_and_spent(world):
    watch, zone = world.watch, world.watch.zone
    budgets = [
        {"tokens": 15_000, "per": "day"},
        {"client": "…lpha", "dollars": 1000, "per": "month", "name": "alpha"},
        {"client": "nobody", "tokens": 1, "per": "week"},
    ]
    watch.job = watch.restarted(budgets=[Budget(**one) for one in budgets])
    # After the collector's heartbeats, and in the middle of a month.
    day = (local(watch.now, zone).date().replace(day=28) + timedelta(days=14)).replace(day=12)
    noon = midnight(day, zone) + 12 * HOUR
    end = midnight(day + timedelta(days=1), zone)

    def use(count: int, at: int) -> None:
        world.proxy.push(attempts(count, at))
        world.collect()
        watch.work(at + MINUTE)

    use(7, noon)
    assert world.sent() == []
    assert watch.rows("select code, subject from problems where kind = 'budget'") == [
        ("budget_of_nothing", "nobody, tokens a week")
    ]
    use(1, noon)
    text = "Budget all, tokens a day: {} of 15,000 tokens are used ({} %); the day ends at {}."
    ends = watch.clock(end)
    assert world.sent() == [text.format("12,000", 80, ends)]
    use(1, noon)
    assert world.sent() == []
    use(3, noon)
    assert world.sent() == [text.format("18,000", 120, ends)]
    use(1, end + HOUR)
    use(9, end + 2 * HOUR)
    following = watch.clock(midnight(day + timedelta(days=2), zone))
    assert world.sent() == [text.format("15,000", 100, following)]
    ((cost,),) = watch.rows("select sum(cost_microdollars) / 1e6 from usage_events")
    assert cost > 0
    sql = "select budget, spent, round(spent, 2) from budget_states where unit = 'dollars'"
    assert watch.rows(sql) == [("alpha", pytest.approx(cost), 0.44)]


def test_every_rule_is_that_of_a_problem():
    with closing(quota_ledger.ledger(NOON)) as conn:
        rows = conn.execute("select rule from problem_codes where rule is not null").fetchall()
    assert {rule for (rule,) in rows} == set(ALERT_RULES) - SECOND_THRESHOLDS


def test_the_page_has_every_rule_with_its_default_threshold():
    lines = (ROOT / "docs" / "alerts.md").read_text("utf-8").splitlines()
    rows = [line.strip("| ").split("|") for line in lines if line.startswith("| `")]
    documented = {row[0].strip(" `"): row[2].strip() for row in rows}
    assert {name: float(text) if text else None for name, text in documented.items()} == ALERT_RULES
